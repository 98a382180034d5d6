"""A strict stand-in for 3D Slicer, made of PySide6, slicer-core and a file of facts. Never shipped.

facts       what api_facts.json says about a class, for one version of Slicer
binding     wrapped objects that keep the conventions of PythonQt
signals     connect, disconnect, emit
ctk_widgets, mrml_widgets   bodies for the classes that Qt does not have
ui_files    checks a .ui file and loads it
scripted, parameter_nodes, slicer_util, application   Slicer's Python layer
install     puts all of it behind the names qt, ctk and slicer
"""
