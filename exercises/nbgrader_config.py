"""nbgrader's configuration for this course. Run nbgrader in this folder, or in a copy of it."""

from pathlib import Path

import nbgrader
from nbconvert.preprocessors import ClearMetadataPreprocessor, CSSHTMLHeaderPreprocessor
from nbgrader import preprocessors as stock

from optbias.grading import preprocessors as ours

HERE = Path(__file__).resolve().parent

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "optbias"
# Wait for a locked gradebook for a minute, instead of giving up a grading run after five seconds.
c.CourseDirectory.db_url = f"sqlite:///{HERE}/gradebook.db?timeout=60"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", ".pytest_cache"]

# The releases are in the repository, and nbgrader would skip an assignment whose release is there: the gradebook would
# never hear of it. They are derived from the sources, so nothing is lost by writing them again.
c.GenerateAssignment.force = True

# `python -m optbias grade` is the way to grade strangers: it has a sandbox, and tests in a process of their own. What
# follows is for `nbgrader autograde`, which runs tests and answers in one process.
c.Autograde.sanitize_preprocessors = [
    stock.ClearOutput,
    stock.DeduplicateIds,
    stock.OverwriteKernelspec,
    ours.OverwriteCells,
    stock.CheckCellMetadata,
]
# A test cell that a student deleted comes back.
c.OverwriteCells.add_missing_cells = True

# Seconds by the clock for one cell (a kernel's limit cannot count CPU time); the tests have shorter limits of their own
# and say which test was too slow. The figures of lab-linf-constraint take 20 CPU seconds: much less than this even on a
# machine that does other things.
c.Execute.timeout = 600

c.Autograde.autograde_preprocessors = [
    ours.WantSeed,
    stock.Execute,
    stock.IgnorePattern,
    ClearMetadataPreprocessor,
    stock.LimitOutput,
    ours.CountErrorsOnly,
    stock.SaveAutoGrades,
    stock.AssignLatePenalties,
    ours.PlainSubmission,
    ours.ShowRubrics,
    stock.CheckCellMetadata,
]
c.ShowRubrics.folder = str(HERE / "rubrics")

c.GenerateFeedback.preprocessors = [ours.Grades, ours.StudentsView, CSSHTMLHeaderPreprocessor]
# Our template of the feedback page bears the name of nbgrader's and is found first. The name of the template may
# not be set here: formgrader's own pages would use it. They are looked for in the same list of folders.
STOCK = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates"
c.HTMLExporter.extra_template_basedirs = [str(HERE / "templates"), str(STOCK)]
