"""The module's own code: logic on MRML nodes, and widgets."""
