# The four doors: demo, test, check, bench. Each sets up what it needs by itself.
SHELL := bash
PY ?=
BIN := .venv/bin
BENCHES := kronos_rollout kronos_decode kronos_memory baseline events batch predict_5000 ledger seal scoring calibration gateway server nano

.PHONY: help demo test check bench setup-all setup-dev clean

help:
	@echo "make demo [DATA=folder] [ONCE=1]   set up and run the main job, then serve it"
	@echo "make test                          set up and run every test this machine can run"
	@echo "make check                         ruff, ruff format, mypy, import-linter"
	@echo "make bench                         measure; writes bench/RESULTS.md"
	@echo "make clean                         remove the virtual environment and the data folder"

setup-all setup-dev: setup-%:
	@PY="$(PY)" tools/setup.sh $*

demo: setup-all
	@$(BIN)/candlecast demo $(if $(DATA),--data "$(DATA)") $(if $(ONCE),--once)

test: setup-dev
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -q

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup-dev
	@for name in $(BENCHES); do echo "== $$name"; $(BIN)/python -m bench.$$name || exit 1; done

clean:
	@test ! -x $(BIN)/candlecast || $(BIN)/candlecast db stop || true
	rm -rf .venv .candlecast
