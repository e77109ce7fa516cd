"""The journal under gunicorn with a real MongoDB, beside the same views by hand.

    python -m benchmarks.end_to_end --out DIR

from the root of a checkout, after ``make test`` or ``pip install --group dev``. It
takes some four minutes; ``--quick`` less than one. What it leaves in DIR is a JSON file
with all figures, and tables in Markdown.
"""
