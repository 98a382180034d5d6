"""The look of the page: light and dark by the reader's system, no resource from outside."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #f4f5f7; --card: #ffffff; --ink: #161a20; --muted: #59626f; --line: #e1e5ea; --soft: #eef1f4;
  --good: #11703c; --good-soft: #e2f3e8; --bad: #9a3412; --bad-soft: #fbeae2;
  --m0: #667284; --m1: #0b62c4; --m2: #b4480e; --m3: #17803d; --m4: #7c3aed; --m5: #a1155f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1115; --card: #161a20; --ink: #e9ecf1; --muted: #9ba5b3; --line: #2a3039; --soft: #1e242c;
    --good: #7ddba0; --good-soft: #14301f; --bad: #ffb08a; --bad-soft: #3a2015;
    --m0: #a3afbf; --m1: #62aeff; --m2: #ff9d5f; --m3: #62d18c; --m4: #b79bff; --m5: #ff86bd;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 1160px; margin: 0 auto; padding: 56px 24px 72px; }
.over { margin: 0; color: var(--muted); font-size: 13px; letter-spacing: .08em; text-transform: uppercase; }
h1 { margin: 6px 0 8px; font-size: clamp(28px, 4.2vw, 42px); line-height: 1.15; letter-spacing: -.02em; }
h2 { margin: 56px 0 6px; font-size: 24px; letter-spacing: -.01em; }
h3 { margin: 0; font-size: 18px; }
h4 { margin: 0 0 2px; font-size: 14px; font-weight: 600; }
.lead { margin: 0; max-width: 85ch; text-wrap: pretty; color: var(--muted); font-size: 18px; }
.note { margin: 0 0 16px; max-width: 100ch; text-wrap: pretty; color: var(--muted); font-size: 14px; }
.facts { display: flex; flex-wrap: wrap; gap: 12px 36px; margin: 28px 0 0; padding: 0; }
.facts div { display: flex; flex-direction: column; }
.facts dt { color: var(--muted); font-size: 13px; }
.facts dd { margin: 0; font-weight: 600; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 22px 24px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(250px, 1fr)); gap: 16px; margin-top: 36px; }
.cards .card { border-top: 4px solid var(--method); }
.big { font-size: 46px; font-weight: 650; line-height: 1.1; letter-spacing: -.03em; }
.unit { color: var(--muted); font-size: 14px; }
.chip { display: inline-block; margin-top: 10px; padding: 3px 10px; border-radius: 99px; font-size: 13px; }
.chip.up { background: var(--good-soft); color: var(--good); }
.chip.down { background: var(--bad-soft); color: var(--bad); }
.chip.even { background: var(--soft); color: var(--muted); }
.key { display: flex; flex-wrap: wrap; gap: 6px 22px; margin: 0 0 14px; padding: 0; list-style: none; }
.key { font-size: 14px; }
.key i { display: inline-block; width: 14px; height: 14px; margin-right: 8px; border-radius: 4px; }
.key i { vertical-align: -2px; }
.key i.rule { height: 0; border-radius: 0; border-top: 3px solid; vertical-align: 4px; }
.key i.fill { opacity: .45; background: currentColor; }
.key i.heat { width: 96px; height: 10px; margin: 0 8px; vertical-align: 0; }
.scroll { overflow-x: auto; margin-top: 16px; padding: 6px 0; }
table { width: 100%; border-collapse: collapse; font-size: 15px; }
th, td { padding: 8px 16px; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, .left { text-align: left; }
thead th { color: var(--muted); font-size: 13px; font-weight: 500; }
tbody { border-top: 1px solid var(--line); }
tbody th { font-weight: 600; vertical-align: top; }
td .spread { color: var(--muted); font-size: 13px; }
td.best { font-weight: 700; }
td.best .spread { font-weight: 400; }
td i.method { display: inline-block; width: 9px; height: 9px; margin-right: 9px; border-radius: 50%; }
.chart { display: block; width: 100%; height: auto; overflow: visible; }
.chart text { fill: var(--ink); font-size: 13px; }
.chart text.tick { fill: var(--muted); font-size: 12px; }
.chart text.name { font-weight: 600; }
.chart text.value { font-weight: 600; }
.chart .grid { stroke: var(--line); }
.chart circle { opacity: .5; }
.chart .reach { stroke-width: 1.5; opacity: .35; }
.chart .mean { stroke-width: 3.5; stroke-linecap: round; }
.chart .curve { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
.chart .faint { stroke-width: 1; opacity: .28; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 16px; }
.case { margin-top: 20px; }
.case header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 28px; margin-bottom: 14px; }
.case header p { margin: 0; color: var(--muted); font-size: 14px; }
.case header .method { display: inline-block; width: 9px; height: 9px; margin-right: 8px; border-radius: 50%; }
.wide { overflow-x: auto; }
.wide .chart { min-width: 620px; }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 12px; margin-top: 12px; }
figure { margin: 0; }
figcaption { margin-top: 5px; color: var(--muted); font-size: 13px; line-height: 1.35; }
figcaption b { color: var(--ink); font-weight: 600; }
.slice { display: block; width: 100%; height: auto; border-radius: 8px; background: #000; }
.slice path { fill: none; stroke: var(--label); stroke-width: 1.8px; vector-effect: non-scaling-stroke; }
.slice path.truth { fill: var(--label); fill-opacity: .38; fill-rule: evenodd; stroke: none; }
.slice .pixels { image-rendering: pixelated; }
.plain li { margin: 6px 0; max-width: 85ch; }
footer { margin-top: 48px; color: var(--muted); font-size: 13px; }
@media (max-width: 820px) {
  main { padding: 32px 14px 48px; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .card { padding: 16px; }
}
@media print { body { background: #fff; } .card, figure { break-inside: avoid; } }
""" + "".join(
    f".chart .m{i} {{ stroke: var(--m{i}); }} .chart circle.m{i} {{ fill: var(--m{i}); stroke: none; }} "
    f".chart text.m{i} {{ fill: var(--m{i}); stroke: none; }} .method.m{i} {{ background: var(--m{i}); }}\n"
    for i in range(6)
)
