# `make lab` opens the course, `make test` proves that everything works; `make help` lists the rest.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help lab app test coverage notebooks record record-formats fuzz screenshots bench clean FORCE

PY := .venv/bin/python
READY_FOR_LAB := .venv/ready-for-lab
READY_FOR_TESTS := .venv/ready-for-tests
READY_FOR_BENCH := .venv/ready-for-bench
READY_FOR_APP := .venv/ready-for-app

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.* ## /  make \1	/p' Makefile | expand -t 24

lab: $(READY_FOR_LAB) ## open JupyterLab on the first notebook; make lab ARGS="--no-browser --port 8899" without a screen
	@$(PY) tools/open_lab.py $(ARGS)

app: $(READY_FOR_APP) ## the policy explorer as a web page of its own, on this machine; make app ARGS="--no-browser --port 8866"
	@$(PY) tools/open_app.py $(ARGS)

test: $(READY_FOR_TESTS) ## style, types, unit tests, notebooks (nbval), a real browser
	@$(PY) tools/run_tests.py

coverage: $(READY_FOR_TESTS) ## how much of the lab its tests and the notebooks run (two minutes)
	@$(PY) tools/measure_coverage.py

notebooks: $(READY_FOR_TESTS) ## run the notebooks again and store their outputs, with a picture beside each chart
	@$(PY) tools/rerun_notebooks.py $(ARGS)

record: $(READY_FOR_LAB) ## record the traces in data/ again on real servers (a few minutes)
	@.venv/bin/breakerlab record incident --out data/ $(ARGS)

record-formats: $(READY_FOR_TESTS) ## record the logs in data/formats again with the real programs that write them
	@$(PY) tools/record_formats.py $(ARGS)

fuzz: $(READY_FOR_TESTS) ## a million mutated logs, each of which must give a trace or one sentence (half an hour)
	@$(PY) tools/fuzz_readers.py $(ARGS)

screenshots: $(READY_FOR_TESTS) ## pictures of the notebooks at two screen sizes, in screenshots/
	@$(PY) tools/take_screenshots.py $(ARGS)

bench: $(READY_FOR_BENCH) ## speed, side by side with other libraries, in one run (on a machine that does nothing else)
	@$(PY) tools/run_benchmarks.py

clean: ## remove .venv and everything that the commands made
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis screenshots build dist
	@find src tests tools benchmarks notebooks -depth \( -name __pycache__ -o -name .ipynb_checkpoints \) -exec rm -rf {} +
	@echo "breakerlab: removed .venv, caches and screenshots"

$(READY_FOR_LAB): pyproject.toml constraints.txt tools/environment.sh
	@PYTHON="$(PYTHON)" sh tools/environment.sh lab

$(READY_FOR_TESTS): $(READY_FOR_LAB)
	@sh tools/environment.sh tests

$(READY_FOR_BENCH): $(READY_FOR_LAB)
	@sh tools/environment.sh bench

$(READY_FOR_APP): $(READY_FOR_LAB)
	@sh tools/environment.sh app

# A clone that was moved or copied needs its environment made anew.
ifneq ($(shell cat .venv/made-for 2>/dev/null),$(CURDIR))
$(READY_FOR_LAB): FORCE
endif
FORCE:
