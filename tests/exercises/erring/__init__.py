"""Wrong answers written without a look at the slips that the modules know: how many of them are named?

Each entry is ``name: (what a message that names it must hold, a regular expression; how the answer reads)``. The answer
is either a dictionary of replacements in the body of the reference (every occurrence is replaced) or the body of the
function. :mod:`measure` grades them all, beside machine mutants of the reference, one at a time and in pairs.
"""
