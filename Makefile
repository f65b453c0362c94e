# make light  a virtual environment for prediction only   (.venv-light)
# make dev    a virtual environment with everything       (.venv)
# make demo   predict the bundled clips with the light one
# make test   lint, types and tests with the full one
# make results  train and score again all that docs/results tells, as far as corpora are at hand
PYTHON ?= python3
LIGHT := .venv-light
FULL := .venv
PIP := -m pip --disable-pip-version-check --quiet

.PHONY: light dev demo test test-slow lint models results clean

light: $(LIGHT)/ready
dev: $(FULL)/ready

$(LIGHT)/ready: pyproject.toml constraints.txt
	@echo "Setting up $(LIGHT) (prediction only, about 200 MB) …"
	@$(PYTHON) -m venv $(LIGHT)
	@$(LIGHT)/bin/python $(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(FULL)/ready: pyproject.toml constraints.txt
	@sh scripts/system_packages.sh
	@echo "Setting up $(FULL) (training and tests, about 2 GB) …"
	@$(PYTHON) -m venv $(FULL)
	@$(FULL)/bin/python $(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: light
	@echo '$$ earnest predict earnest/demo/*.flac'
	@$(LIGHT)/bin/earnest predict earnest/demo/*.flac
	@echo
	@echo 'These clips are synthetic speech: they show that it works, not how well.'
	@echo 'Your own recording:   $(LIGHT)/bin/earnest predict talk.wav'
	@echo 'A folder, as JSON:    $(LIGHT)/bin/earnest predict recordings/ --json'
	@echo 'What the model knows: $(LIGHT)/bin/earnest models'
	@echo 'From Python:          import earnest; earnest.load().predict("talk.wav")'

lint: dev
	@$(FULL)/bin/ruff check .
	@$(FULL)/bin/ruff format --check .
	@$(FULL)/bin/mypy

test: lint
	@$(FULL)/bin/python -m pytest -W error -m 'not slow'

test-slow: dev
	@$(FULL)/bin/python -m pytest -W error -m slow

results: dev
	@$(FULL)/bin/python scripts/write_results.py --again

clean:
	rm -rf $(LIGHT) $(FULL) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
