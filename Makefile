# make demo    try it: the journal, in the foreground, until Ctrl-C
# make serve   the same behind gunicorn, in two processes
# make test    all checks on this Python: lint, types, then tests
# make cover   the tests with branch coverage, which takes half as long again
# make matrix  the tests on every supported Python and Flask found here
# make clean   remove what these made

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/pytest --numprocesses=4 --dist=loadfile

.PHONY: demo serve test cover lint types matrix clean

demo: .venv/.package
	cd examples && exec ../$(BIN)/python -m journal

serve: .venv/.server
	cd examples && exec ../$(BIN)/gunicorn --config journal/gunicorn.conf.py

test: lint types
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

clean:
	rm -rf .venv .nox .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests examples -name __pycache__ -prune -exec rm -rf {} +

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

.venv/.tools: .venv/.package
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@
