"""Grading the exercises with nbgrader: what the course adds to it.

* :mod:`~optbias.grading.plain`: taking everything live out of a notebook that somebody handed in;
* :mod:`~optbias.grading.preprocessors`: steps that the course puts into nbgrader's own;
* :mod:`~optbias.grading.exporters`: grades with a column for each question, for Canvas and Moodle;
* :mod:`~optbias.grading.restore`: a notebook that comes back damaged (from Colab, say), rebuilt on the release.

``exercises/nbgrader_config.py`` switches the first three on; ``docs/instructors.md`` walks through a term.
"""
