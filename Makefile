# Each target sets up .venv itself, from the versions that were tested together.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo demo-es serve test check docs pictures stress bench elasticsearch clean

demo: .venv/base  ## build the bundled collection's index, and search it across languages
	$(BIN)/python -m demo

demo-es: .venv/elastic  ## the same in Elasticsearch: a node fetched and started, or the one in TANDEM_ES_HOSTS
	$(BIN)/python -m demo.in_elasticsearch

serve: .venv/base  ## open the page over the demo index
	$(BIN)/tandem serve -i demo.index --config demo/serve.yaml

test: .venv/full check  ## everything but the slow suites
	$(BIN)/python -m pytest -q -m "not stress" -n 2 --dist loadscope

check: .venv/full  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: .venv/base  ## write what docs/ holds that is made from the code
	$(BIN)/python docs/make_tree.py
	$(BIN)/python docs/make_languages.py
	$(BIN)/python docs/make_cli.py

pictures: .venv/full  ## take the screenshot (Chromium) and draw the plots of README.md and docs/
	$(BIN)/python docs/make_pictures.py

stress: .venv/stress  ## the slow suites: kills, full disks, readers beside a writer, the API against its description
	$(BIN)/python -m pytest -q -m stress

bench: .venv/bench  ## side by side with peers, on this machine
	$(BIN)/python -m benchmarks

elasticsearch: .venv/base  ## fetch the official Elasticsearch builds that the tests start, with Maven
	$(BIN)/python -m demo.elasticsearch_node

.venv/made:
	$(PYTHON) -m venv .venv
	touch $@

.venv/base: .venv/made setup.cfg constraints.txt
	$(PIP) --editable '.[cpu]'
	touch $@

.venv/elastic: .venv/base
	$(PIP) --editable '.[cpu,elastic]'
	touch $@

# torch comes first and pinned: an unpinned one pulls several GB of CUDA
.venv/full: .venv/made setup.cfg constraints.txt
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[cpu,models,train,eval,elastic,test]'
	touch $@ .venv/base

.venv/stress: .venv/full
	$(PIP) --editable '.[stress]'
	touch $@

.venv/bench: .venv/full
	$(PIP) --editable '.[bench]'
	touch $@

clean:
	rm -rf .venv demo.index
