"""What only the user can decide: raised as errors, which a panel turns into questions.

Each names the argument with which the same call goes on when the answer is yes. Nothing has been changed until then.
"""

from __future__ import annotations

from barl.errors import LabelError


class Question(LabelError):
    """A call that waits for an answer.

    Attributes:
        option: the argument to repeat the call with, set to True.
    """

    option: str


class EmptyClassesQuestion(Question):
    """Some structures of the label table have no voxel.

    Attributes:
        names: which.
    """

    option = "allowEmpty"

    def __init__(self, caseId: str, names: tuple[str, ...]) -> None:
        self.names = names
        super().__init__(
            f"Case {caseId}: nothing is drawn as {', '.join(names)}. Is that so in this image? "
            "If not, draw it first, or choose a coverage that leaves it open."
        )


class OtherGridQuestion(Question):
    """The segmentation's voxels do not coincide with the image's."""

    option = "resample"

    def __init__(self, caseId: str, name: str, difference: str) -> None:
        super().__init__(
            f"Case {caseId}: the segmentation {name} does not lie on the image's grid: {difference}. "
            "Resample it onto the image? Each voxel then takes the nearest label."
        )


class TransformQuestion(Question):
    """The segmentation is under another transform than the image."""

    option = "harden"

    def __init__(self, caseId: str, name: str) -> None:
        super().__init__(
            f"Case {caseId}: the segmentation {name} is moved by a transform that does not move the image. "
            "Save it where it is shown now? The segmentation in the scene stays as it is."
        )
