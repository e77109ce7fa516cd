"""Flask-Scopes measured beside other ways to give objects a lifetime in Flask.

    python -m benchmarks.compare --quick

from the root of the checkout, after ``pip install --group bench``; `make bench` does
both, without ``--quick``. Every contender does the same work, is checked for it first,
and takes turns with the others in every round.
"""
