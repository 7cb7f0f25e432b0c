"""Reports as documents: what `domain` computed, in Bahasa Indonesia and in the formats that offices use.

The same report always comes to the same bytes: nothing here asks for the time, the machine's fonts or its locale.
"""
