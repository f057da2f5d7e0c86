# make demo and make test need Python 3.11 or newer, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 2
# Carries CLIP's vocabulary and prompts; what it depends on stays out.
CLIP_FILES := open_clip_torch==3.3.0

# Memory in large pages, where the system has them: less to clear at each step on a CPU.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

.DEFAULT_GOAL := help
.PHONY: help env peers demo demo-vlmo demo-beit3 test lint format bench clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/' \
		| column -t -s '|'

env: $(READY)  ## .venv with the tested versions

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(CLIP_FILES)
	@touch $(READY)

demo: env  ## trains and measures a small CoCa, a few minutes on two cores
	$(BIN)/python train.py --config=configs/coca/shapes.py --workdir=runs/demo
	$(BIN)/python eval.py --workdir=runs/demo

demo-vlmo: env  ## trains a small VLMo stage after stage, measures the last two
	@for stage in codes images texts pairs questions; do \
		$(BIN)/python train.py --config=configs/vlmo/shapes.py:$$stage --workdir=runs/vlmo/$$stage \
			|| exit $$?; \
	done
	$(BIN)/python eval.py --workdir=runs/vlmo/pairs
	$(BIN)/python eval.py --workdir=runs/vlmo/questions
	$(BIN)/python -m vlx report runs/vlmo/pairs runs/vlmo/questions --output=runs/vlmo/report.html

demo-beit3: env  ## a small BEiT-3: teacher, tokenizer, pre-training, captions
	@for stage in teacher tokenizer pretraining captions; do \
		$(BIN)/python train.py --config=configs/beit3/shapes.py:$$stage \
			--workdir=runs/beit3/$$stage || exit $$?; \
	done
	$(BIN)/python eval.py --workdir=runs/beit3/pretraining
	$(BIN)/python eval.py --workdir=runs/beit3/captions

test: env  ## all tests
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: env  ## what `make format` would change, and likely mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: env  ## one style for all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

peers: .venv-peers/.ready  ## .venv-peers with what `make bench` compares with

.venv-peers/.ready: benchmarks/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	@touch .venv-peers/.ready

bench: env  ## speed on this machine, beside the peers where there are any
	@for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

clean:  ## removes .venv, .venv-peers and caches, keeps runs
	rm -rf $(VENV) .venv-peers .pytest_cache .ruff_cache build dist *.egg-info
