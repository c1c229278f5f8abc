# deps     what is missing on this machine (Debian 12 with Rust), and the base systems of the beds
# build    the program and its plugins, released
# test     everything that can be checked on this machine; says what was skipped, and why
# test-suites  the same scenarios on Debian bullseye, trixie and forky (SUITES="trixie" for one)
# test-kernels the states of processes on other kernels, in qemu (KERNELS="bullseye" for one)
# fuzz     the parsers of what package managers say, under libFuzzer (FUZZ="600 rpm_header": seconds, targets)
# demo     a real upgrade in a throwaway machine, before and after
# bench    beside the least that any scanner must do, and beside every other tool on this machine;
#          BENCH="1000 5000": numbers of processes
# install  to DESTDIR, below PREFIX; with the library for C daemons (install-client), unless CLIENT is empty
# deb      dist/reexec_VERSION-1_ARCH.deb
# rpm      dist/reexec-VERSION-1.ARCH.rpm
# pacman   dist/reexec-VERSION-1-ARCH.pkg.tar.zst
BENCH ?=
FUZZ ?=
.PHONY: deps build test test-suites test-kernels fuzz demo bench installable install install-client install-pacman deb rpm pacman clean lint

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo
DESTDIR ?=
PREFIX ?= /usr
export CARGO_TARGET_DIR ?= $(CURDIR)/target
RELEASE ?= $(CARGO_TARGET_DIR)/release
# What `install` and the package take as the program: tests put a recorder there.
BINARY ?= $(RELEASE)/reexec
PLUGINS ?= $(wildcard $(RELEASE)/libreexec_*.so)
SHARE ?= hook/share
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
DEB_VERSION ?= $(VERSION)-1
RPM_VERSION ?= $(VERSION)-1
PACMAN_VERSION ?= $(VERSION)-1
DIST ?= dist
# Where the library for C daemons was built; empty leaves it out of `install`.
CLIENT ?= $(RELEASE)
LIBDIR ?= $(PREFIX)/lib
CONFORMANCE ?= ../shared/conformance/states.py

build:
	$(CARGO) build --release --locked

deps:
	@tests/deps

test: deps
	@tests/run

test-suites: deps
	@tests/suites $(SUITES)

test-kernels: deps
	@tests/kernels $(KERNELS)

fuzz: deps
	@tests/fuzz $(FUZZ)

lint: deps
	@tests/run lint

demo: deps build
	@tests/demo

bench: deps build
	@$(RELEASE)/bench $(BENCH)

# In units and hooks the program is /usr/bin/reexec; with another PREFIX they follow.
MOVED = sed 's|/usr/bin/reexec|$(PREFIX)/bin/reexec|g'

# Looked at before anything is put in place: half an installation is none.
installable:
	@test -e "$(BINARY)" || { echo "install: no $(BINARY); make build comes first" >&2; exit 1; }
	@compgen -G "$(SHARE)/policy.d/*.yaml" >/dev/null || { echo "install: no $(SHARE)/policy.d/*.yaml" >&2; exit 1; }
	@test -e "$(SHARE)/policy.yaml" || { echo "install: no $(SHARE)/policy.yaml" >&2; exit 1; }

install: installable $(if $(CLIENT),install-client)
	install -Dm755 "$(BINARY)" "$(DESTDIR)$(PREFIX)/bin/reexec"
	install -d "$(DESTDIR)$(PREFIX)/lib/reexec/plugins" "$(DESTDIR)$(PREFIX)/lib/reexec/policy.d"
	if [ -n "$(PLUGINS)" ]; then install -m644 $(PLUGINS) "$(DESTDIR)$(PREFIX)/lib/reexec/plugins/"; fi
	install -m644 $(SHARE)/policy.d/*.yaml "$(DESTDIR)$(PREFIX)/lib/reexec/policy.d/"
	install -d "$(DESTDIR)/etc/reexec/policy.d"
	test -e "$(DESTDIR)/etc/reexec/policy.yaml" || install -m644 "$(SHARE)/policy.yaml" "$(DESTDIR)/etc/reexec/policy.yaml"
	case " $(notdir $(PLUGINS)) " in *" libreexec_rpm.so "*) \
	    install -m755 "$(dir $(filter %/libreexec_rpm.so,$(PLUGINS)))reexec-rpm-dialogue" "$(DESTDIR)$(PREFIX)/lib/reexec/rpm-dialogue";; esac
	for plugin in $(notdir $(PLUGINS)); do name=$${plugin#libreexec_}; name=$${name%.so}; \
	    install -Dm644 "plugins/$$name/integration/wiring.json" "$(DESTDIR)$(PREFIX)/lib/reexec/wiring.d/$$name.json"; done
	install -d "$(DESTDIR)$(PREFIX)/lib/systemd/system"
	for unit in $(notdir $(wildcard $(SHARE)/systemd/*)); do \
	    $(MOVED) "$(SHARE)/systemd/$$unit" >"$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit"; \
	    chmod 644 "$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit"; done
	install -Dm644 $(SHARE)/tmpfiles.d/reexec.conf "$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/reexec.conf"
	for page in $(wildcard $(SHARE)/man/*.[1-8]); do \
	    folder="$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}"; install -d "$$folder"; \
	    gzip -9nc "$$page" >"$$folder/$$(basename "$$page").gz"; chmod 644 "$$folder/$$(basename "$$page").gz"; done
	for file in bash/reexec:bash-completion/completions zsh/_reexec:zsh/vendor-completions \
	    fish/reexec.fish:fish/vendor_completions.d; do \
	    test ! -e "$(SHARE)/completions/$${file%:*}" || \
	        install -Dm644 "$(SHARE)/completions/$${file%:*}" "$(DESTDIR)$(PREFIX)/share/$${file#*:}/$$(basename "$${file%:*}")"; done
	for file in $(wildcard $(SHARE)/report.schema.json $(SHARE)/monitoring/* $(SHARE)/compat/* \
	    $(SHARE)/ansible/* $(SHARE)/ansible/reexec/*/*); do \
	    test ! -d "$$file" || continue; \
	    mode=644; test ! -x "$$file" || mode=755; \
	    install -Dm$$mode "$$file" "$(DESTDIR)$(PREFIX)/share/reexec/$${file#$(SHARE)/}"; done
	for source in $(wildcard $(SHARE)/update.d/*) $(foreach plugin,$(notdir $(PLUGINS)),$(wildcard \
	    plugins/$(patsubst libreexec_%.so,%,$(plugin))/integration/update.d/*)); do \
	    install -Dm755 -t "$(DESTDIR)$(PREFIX)/share/reexec/update.d/$$(basename "$$source")" "$$source"/*; done
	for file in $(wildcard $(SHARE)/catalog/*.catalog); do \
	    install -Dm644 "$$file" "$(DESTDIR)$(PREFIX)/lib/systemd/catalog/$$(basename "$$file")"; done

# The number behind .so is the ABI's, as client/c/build.rs has it.
install-client: SO = libreexec-client.so
install-client: ABI = $(shell sed -n 's/^const ABI: u32 = \(.*\);/\1/p' client/c/build.rs)
install-client:
	@test -e "$(CLIENT)/libreexecclient.so" || { echo "install: no $(CLIENT)/libreexecclient.so; make build comes first" >&2; exit 1; }
	install -Dm644 "$(CLIENT)/libreexecclient.so" "$(DESTDIR)$(LIBDIR)/$(SO).$(ABI).$(VERSION)"
	ln -sf $(SO).$(ABI).$(VERSION) "$(DESTDIR)$(LIBDIR)/$(SO).$(ABI)"
	ln -sf $(SO).$(ABI) "$(DESTDIR)$(LIBDIR)/$(SO)"
	install -m644 "$(CLIENT)/libreexecclient.a" "$(DESTDIR)$(LIBDIR)/libreexec-client.a"
	install -Dm644 client/c/reexec-client.h "$(DESTDIR)$(PREFIX)/include/reexec-client.h"
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(PREFIX)/share/man/man3"
	sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' client/c/reexec-client.pc.in \
	    >"$(DESTDIR)$(LIBDIR)/pkgconfig/reexec-client.pc"
	gzip -9nc client/man/reexec-client.3 >"$(DESTDIR)$(PREFIX)/share/man/man3/reexec-client.3.gz"
	chmod 644 "$(DESTDIR)$(LIBDIR)/pkgconfig/reexec-client.pc" "$(DESTDIR)$(PREFIX)/share/man/man3/reexec-client.3.gz"

# The staging folder is new each time, so that nothing of an earlier build gets packed.
deb: $(if $(findstring file,$(origin BINARY)),build)
	@stage=$$(mktemp -d); trap 'rm -rf "$$stage"' EXIT; \
	$(MAKE) --no-print-directory -s install DESTDIR="$$stage/tree" PREFIX=/usr CLIENT= \
	    BINARY="$(BINARY)" SHARE="$(SHARE)" PLUGINS="$(if $(findstring file,$(origin PLUGINS)),$(RELEASE)/libreexec_dpkg.so,$(PLUGINS))"; \
	plugins/dpkg/integration/build-deb "$$stage/tree" "$(DIST)" "$(DEB_VERSION)"

rpm: $(if $(findstring file,$(origin BINARY)),build)
	@stage=$$(mktemp -d); trap 'rm -rf "$$stage"' EXIT; \
	$(MAKE) --no-print-directory -s install DESTDIR="$$stage/tree" PREFIX=/usr CLIENT= \
	    BINARY="$(BINARY)" SHARE="$(SHARE)" PLUGINS="$(if $(findstring file,$(origin PLUGINS)),$(RELEASE)/libreexec_rpm.so,$(PLUGINS))"; \
	plugins/rpm/integration/build-rpm "$$stage/tree" "$(DIST)" "$(RPM_VERSION)"

# What the pacman package has besides: PKGBUILD calls this too.
install-pacman: override PLUGINS := $(if $(findstring file,$(origin PLUGINS)),$(RELEASE)/libreexec_pacman.so,$(PLUGINS))
install-pacman: install
	install -d "$(DESTDIR)$(PREFIX)/share/libalpm/hooks" "$(DESTDIR)$(PREFIX)/share/licenses/reexec"
	for hook in plugins/pacman/integration/*.hook; do \
	    $(MOVED) "$$hook" >"$(DESTDIR)$(PREFIX)/share/libalpm/hooks/$$(basename "$$hook")"; \
	    chmod 644 "$(DESTDIR)$(PREFIX)/share/libalpm/hooks/$$(basename "$$hook")"; done
	install -m644 LICENSE-MIT LICENSE-APACHE "$(DESTDIR)$(PREFIX)/share/licenses/reexec/"
	cd "$(DESTDIR)$(PREFIX)/share/zsh" && mv vendor-completions site-functions

pacman: $(if $(findstring file,$(origin BINARY)),build)
	@stage=$$(mktemp -d); trap 'rm -rf "$$stage"' EXIT; chmod 755 "$$stage"; mkdir "$$stage/tree"; \
	$(MAKE) --no-print-directory -s install-pacman DESTDIR="$$stage/tree" PREFIX=/usr CLIENT= \
	    BINARY="$(BINARY)" SHARE="$(SHARE)" $(if $(findstring file,$(origin PLUGINS)),,PLUGINS="$(PLUGINS)"); \
	plugins/pacman/integration/build-pkg "$$stage/tree" "$(DIST)" "$(PACMAN_VERSION)"

clean:
	$(CARGO) clean
	rm -rf dist
