# make light  a virtual environment for prediction only   (.venv-light)
# make dev    a virtual environment with everything       (.venv)
# make demo   predict the bundled clips with the light one
# make unit   the tests for every day: seconds each at most, nothing trained, exported or served; a minute
# make test   lint, types and tests with the full one; each part tells its twenty slowest
# make golden SINCE=REV  train, evaluate, export, predict … on made-up voices with the tree of REV and with this one:
#             does any file differ, byte for byte? But for what scripts/golden/mapping.toml names
# make fuzz   atheris at every reader of files from outside, SECONDS each (60); the counts: docs/security/fuzz.md;
#             SHARE=1/2 and, beside it, SHARE=2/2 are half of the readers each
# make models the shipped bundles, trained anew
# make results  train and score again all that docs/results tells, as far as corpora are at hand
# make five  the five systems with their published number of epochs, as far as corpora are at hand; resumable;
#             python scripts/five.py --plan says the core hours
# make locks  constraints.txt with hashes: locks/*.txt
# make wheel  sdist and wheel; each extra alone, installed in a clean environment and tried, one after the other;
#             what passed for the same wheel is not done again
# make release  wheel, source, SBOMs, licences of third parties and checksums, in dist/
# make audit  are weaknesses of what is locked known? asks the advisories of PyPI and npm
# make floors  the oldest versions that pyproject.toml allows, installed and tried
# make chaos  400 kills at random moments of everything that writes: what was lost, doubled, damaged
# make desktop  dist/earnest-desktop: the application with a window as a folder that runs without Python
# make web    the page of earnest serve, the browser package, and the page for any file host (web/site; needs node 20)
PYTHON ?= python3
LIGHT := .venv-light
FULL := .venv
TOOLS := .venv-release
WINDOW := .venv-desktop
PIP := -m pip --disable-pip-version-check --quiet
# Every file that is installed is one of those that the locks name by hash; ours is built with a locked setuptools.
LOCKED := install --require-hashes --no-deps --requirement locks/build.txt --requirement
OURS := install --no-deps --no-build-isolation --editable .

.PHONY: light dev page demo unit test test-slow golden fuzz lint models results five locks wheel release notices audit floors chaos desktop web clean

light: $(LIGHT)/ready page
dev: $(FULL)/ready page

# What `earnest serve` shows; without npm it says so and goes on.
page:
	@sh scripts/page.sh

$(LIGHT)/ready: pyproject.toml locks/build.txt locks/light.txt
	@echo "Setting up $(LIGHT) (prediction only, about 200 MB) …"
	@$(PYTHON) -m venv $(LIGHT)
	@$(LIGHT)/bin/python $(PIP) $(LOCKED) locks/light.txt
	@$(LIGHT)/bin/python $(PIP) $(OURS)
	@touch $@

$(FULL)/ready: pyproject.toml constraints.txt locks/full.txt
	@sh scripts/system_packages.sh
	@echo "Setting up $(FULL) (training and tests, about 4 GB) …"
	@$(PYTHON) -m venv $(FULL)
	@$(FULL)/bin/python $(PIP) $(LOCKED) locks/full.txt
	@$(FULL)/bin/python $(PIP) install --constraint constraints.txt torch # not locked: scripts/make_locks.py says why
	@$(FULL)/bin/python $(PIP) $(OURS)
	@touch $@

$(TOOLS)/ready: locks/release.txt
	@echo "Setting up $(TOOLS) (tools for a release) …"
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python $(PIP) $(LOCKED) locks/release.txt
	@touch $@

demo: light
	@echo '$$ earnest predict earnest/demo/*.flac'
	@$(LIGHT)/bin/earnest predict earnest/demo/*.flac
	@echo
	@echo 'These recordings are synthetic speech: they show that it works, not how well.'
	@echo 'Your own recording:   $(LIGHT)/bin/earnest predict talk.wav'
	@echo 'A folder, as JSON:    $(LIGHT)/bin/earnest predict recordings/ --json'
	@echo 'What the model knows: $(LIGHT)/bin/earnest models'
	@echo 'From Python:          import earnest; earnest.load().predict("talk.wav")'

lint: dev
	@$(FULL)/bin/ruff check .
	@$(FULL)/bin/ruff format --check .
	@$(FULL)/bin/mypy

unit: dev
	@env -u PYTHONDONTWRITEBYTECODE $(FULL)/bin/python -m pytest -W error -n 2 --dist loadfile -m 'not slow and not long' -q tests/unit tests/property

test: lint
	@sh scripts/run_tests.sh $(FULL)/bin/python

test-slow: dev # fuzzing in a process of its own: the memory of whoever starts a target counts as the target's
	@$(FULL)/bin/python -m pytest -W error -m slow --ignore tests/integration/test_fuzz.py
	@$(FULL)/bin/python -m pytest -W error -m slow tests/integration/test_fuzz.py

golden: dev
	@$(FULL)/bin/python scripts/golden_runs.py since $(or $(SINCE),HEAD)

fuzz: dev
	@$(FULL)/bin/python -m fuzz run $(or $(SECONDS),60) $(if $(SHARE),--share $(SHARE)); code=$$?; \
		$(FULL)/bin/python -m fuzz.page && exit $$code

models: dev
	@$(FULL)/bin/python scripts/make_models.py

results: dev
	@$(FULL)/bin/python scripts/write_results.py --again

five: dev
	@$(FULL)/bin/python scripts/five.py

locks: $(TOOLS)/ready
	@$(TOOLS)/bin/python scripts/make_locks.py

notices: dev
	@$(FULL)/bin/python scripts/third_party_notices.py

wheel: dev
	@$(FULL)/bin/python scripts/wheel.py

release: dev page $(TOOLS)/ready
	@PYTHON=$(PYTHON) sh scripts/release.sh $(TOOLS) $(FULL)

audit: $(TOOLS)/ready
	@$(TOOLS)/bin/python scripts/audit.py

floors: $(TOOLS)/ready
	@PYTHON=$(PYTHON) sh scripts/floors.sh $(TOOLS)/bin/uv .venv-floors

chaos: dev
	@$(FULL)/bin/python scripts/chaos.py --kills 400 --write

$(WINDOW)/ready: pyproject.toml locks/build.txt locks/desktop.txt
	@$(PYTHON) -m venv $(WINDOW)
	@$(WINDOW)/bin/python $(PIP) $(LOCKED) locks/desktop.txt
	@$(WINDOW)/bin/python $(PIP) $(OURS)
	@touch $@

desktop: $(WINDOW)/ready
	@$(WINDOW)/bin/pyinstaller --noconfirm --log-level WARN --distpath dist --workpath build/desktop deploy/desktop.spec
	@cp deploy/earnest.desktop earnest/apps/desktop/icon.svg dist/earnest-desktop/
	@du -sh dist/earnest-desktop

web:
	@cd web && npm ci --ignore-scripts --no-audit --no-fund
	@cd web && npm run build
	@cd web && npm run site
	@echo 'The page: web/site, for any file host. Here: python3 -m http.server --directory web/site'

clean:
	rm -rf web/node_modules web/dist web/build web/site earnest/apps/web
	rm -rf $(LIGHT) $(FULL) $(TOOLS) $(WINDOW) .venv-floors build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
