# make demo    try it: the journal, in the foreground, until Ctrl-C
# make serve   the same behind gunicorn, in two processes
# make docs    the site, in docs/_build/html; any warning is an error
# make test    all checks on this Python: lint, types, docs, then tests
# make cover   the tests with branch coverage, which takes half as long again
# make matrix  the tests on every supported Python and Flask found here
# make bench   measure beside everyone else, into docs/measured.md (some minutes)
# make counts  count instructions anew, for all Pythons (needs valgrind)
# make clean   remove what these made

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/pytest --numprocesses=4 --dist=loadfile

.PHONY: demo serve docs test cover lint types matrix bench counts clean

demo: .venv/.package
	cd examples && exec ../$(BIN)/python -m journal

serve: .venv/.server
	cd examples && exec ../$(BIN)/gunicorn --config journal/gunicorn.conf.py

# All of it anew: a warning of a page that is not read again would not be seen again.
docs: .venv/.docs
	$(BIN)/sphinx-build -q -E -W --keep-going -j auto -d docs/_build/doctrees docs docs/_build/html
	@echo 'The site is in docs/_build/html: open index.html'

test: lint types docs
	$(PYTEST)

cover: .venv/.tools
	$(PYTEST) --cov

lint: .venv/.tools
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# Or pyright would ask, on every run, whether there is a newer one.
types: export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1
types: .venv/.tools
	$(BIN)/mypy
	$(BIN)/pyright

matrix: .venv/.tools
	$(BIN)/nox

bench: .venv/.bench
	$(BIN)/python -m benchmarks.compare --out build/measured --page docs/measured.md

counts: .venv/.tools
	$(BIN)/python benchmarks/counts.py --write
	$(BIN)/nox --session counts

clean:
	rm -rf build .venv .nox docs/_build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests examples docs benchmarks -name __pycache__ -prune -exec rm -rf {} +

.venv/.package: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
	"Flask-Scopes needs Python 3.11 or newer; $(PYTHON) is %d.%d. " \
	"Name another: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[embedded,login,session]' --group demo
	@touch $@

.venv/.server: .venv/.package
	$(BIN)/python -m pip install --quiet --group serve
	@touch $@

.venv/.docs: .venv/.package
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

.venv/.tools: .venv/.package
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

.venv/.bench: .venv/.package
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@
