"""`p2ptk new-plugin`: a ready distribution, made from the plugin in `template/`.

The template is a whole plugin, called `p2ptk-aurora`, with a component of every kind: it runs, and
is linted and typed, as it stands. A new plugin is a copy with the parts that were asked for, under
its own name.
"""

from __future__ import annotations

from p2ptk.scaffold.names import Names, name_plugin
from p2ptk.scaffold.write import write_plugin

__all__ = ["Names", "name_plugin", "write_plugin"]
