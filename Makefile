# Everything is built and run inside target/; see tools/.

# PostgreSQL's major for demo and test: 15 where it is to be had.
ifndef MAJOR
MAJOR := $(shell tools/setup --default-major)
endif
MAJORS = $(sort $(MAJOR) $(shell tools/setup --majors))
# The server that `make install` installs into.
PG_CONFIG ?= pg_config

help:
	@echo 'make demo           build, start a throw-away cluster, load a help desk, show who sees what'
	@echo 'make test           unit, regression and client tests on PostgreSQL $(MAJOR)'
	@echo 'make test-all       the same on PostgreSQL $(MAJORS)'
	@echo 'make adversary      attack deskguard with random statements; STATEMENTS=100000 of them, SEED=... to repeat'
	@echo 'make bench          measure queries against hand-written SQL; two to three minutes, results in target/bench'
	@echo 'make install        install into your own server; PG_CONFIG=/path/to/pg_config names it'
	@echo 'make upgrade-test   dumps and pg_upgrade from one major to another: PAIRS="$(PAIRS)", or PAIRS=all'
	@echo 'make lint           rustfmt, clippy, shellcheck'
	@echo 'make install-test   make install in a fresh clone, into a server of its own'
	@echo 'make schema-check   does cargo-pgrx make the same SQL? Builds cargo-pgrx first, some five minutes'
	@echo 'make unit           the unit tests of rules/ and src/, without a server'
	@echo 'make regress        only the regression tests'
	@echo 'make regress-accept take their output as the expected one'
	@echo 'make client-tests   only the client tests'
	@echo 'make clients        drivers, ORMs and PgBouncer, as applications use them: Django, SQLAlchemy, node-postgres and others'
	@echo 'make clean          stop the demo, remove what was built (but not target/tools)'
	@echo 'TICKETS=1000000, AGENTS=1000 and REPEAT=20 make the benchmark larger, or steadier.'
	@echo 'ONLY=growth TICKETS=3000000 measures only how the cost grows with the number of tickets,'
	@echo 'ONLY=pool only the transactions of many clients, ONLY=search, ONLY=queues and ONLY=places only these.'
	@echo 'MAJOR=16 and so on choose another PostgreSQL; PROPTEST_CASES=3000 tries more help desks.'

demo: installed-$(MAJOR)
	demo/run $(MAJOR)

test: unit test-$(MAJOR)

test-all: unit $(MAJORS:%=test-%)

test-%: installed-%
	tools/regress $*
	tools/quick-start $*
	tools/client-tests $*
	tools/adversary --short $* 6000 7

# Its alarms name the seed that repeats them. In the tests the seed is always the same.
STATEMENTS ?= 100000
SEED ?=

adversary: installed-$(MAJOR)
	tools/adversary $(MAJOR) $(STATEMENTS) $(SEED)

PAIRS ?= 15:18 17:18
UPGRADES = $(if $(filter all,$(PAIRS)),$(shell tools/upgrade-test --pairs),$(PAIRS))

upgrade-test: $(patsubst %,installed-%,$(sort $(subst :, ,$(UPGRADES))))
	tools/upgrade-test $(UPGRADES)

TICKETS ?= 100000
AGENTS ?= 200
REPEAT ?= 5

bench: installed-$(MAJOR)
	tools/bench $(MAJOR) $(TICKETS) $(AGENTS) $(REPEAT) $(ONLY)

unit:
	tools/setup $(MAJOR)
	tools/unit $(MAJOR)

regress: installed-$(MAJOR)
	tools/regress $(MAJOR)

regress-accept: installed-$(MAJOR)
	tools/regress --accept $(MAJOR)

client-tests: installed-$(MAJOR)
	tools/client-tests $(MAJOR)

clients: clients-$(MAJOR)

clients-%: installed-%
	tools/setup --clients
	tools/clients $*

# A server copy in target/pg with the extension, built again if its sources changed.
installed-%:
	tools/setup $*
	tools/install $*

install:
	tools/setup
	tools/install $(PG_CONFIG)

install-test:
	tools/setup $(MAJOR)
	tools/install-test $(MAJOR)

lint:
	tools/setup $(MAJOR)
	tools/lint $(MAJOR)

schema-check:
	tools/setup --cargo-pgrx $(MAJOR)
	tools/schema --check $(MAJOR)

clean:
	[ ! -e target/demo ] || tools/cluster stop target/demo
	[ ! -L target/pg ] || rm -rf "$$(readlink target/pg)"
	mkdir -p target
	find target -mindepth 1 -maxdepth 1 ! -name tools -exec rm -rf {} +

# The steps share target/ and the processors.
.NOTPARALLEL:
.PHONY: help demo adversary upgrade-test bench test test-all unit regress regress-accept client-tests clients install install-test lint schema-check clean
# Pattern targets cannot be phony, but no such files exist.
.SECONDARY:
