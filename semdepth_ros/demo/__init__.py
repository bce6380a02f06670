"""The whole thing at work: a drive played through the real node, recorded, checked, pictured."""
