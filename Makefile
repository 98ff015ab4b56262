# ngx_http_socketio_module
#
#     make           builds build/ngx_http_socketio_module.so
#     make run       installs what is missing, builds, runs the demo
#     make test      installs what is missing, builds, runs all tests
#     make help      lists the targets and variables
#
# Sources, headers, unit tests and test suites are found by pattern: a new
# file needs no change here.

SHELL         := /bin/bash
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.SUFFIXES:

MODULE  := ngx_http_socketio_module
B       ?= build
OBJS    := $(abspath $(B))/nginx
SO      := $(B)/$(MODULE).so

# the module that t/gateway and bench run, and the one that t/chaos kills
SIO_MODULE ?= $(abspath $(SO))
FAULTS_SO  := $(abspath $(B))/faults/$(MODULE).so
SHIM_SO    := $(abspath $(B))/faults/shim.so

# A plain nginx source tree to build against; empty: Debian's nginx-dev.
NGX_SRC ?=

# Compiler and linker options for the module, besides those of nginx.
CC_OPT  ?= -g -O2 -fstack-protector-strong -Wformat \
           -Werror=format-security -Wdate-time -D_FORTIFY_SOURCE=2
LD_OPT  ?= -Wl,-z,relro -Wl,-z,now

JOBS    ?= $(shell nproc 2>/dev/null || echo 1)

# Debian packages that the demo needs, and those that the other targets need
# besides.  Node.js and npm are not listed: t/deps takes Debian's only where
# there is none or too old a one.
RUN_PACKAGES := gcc libc6-dev make pkgconf \
                nginx nginx-dev redis-server \
                libjansson-dev libjwt-dev libhiredis-dev libssl-dev \
                zlib1g-dev \
                ca-certificates

PACKAGES := $(RUN_PACKAGES) clang libclang-rt-dev \
            libcmocka-dev libmsgpack-dev openssl procps spin valgrind \
            chromium fonts-inter fonts-noto-color-emoji \
            python3-socketio python3-aiohttp python3-requests \
            python3-websocket python3-redis

# What "make bench" needs besides.
BENCH_PACKAGES := $(RUN_PACKAGES) libnginx-mod-nchan openssl util-linux

# Seconds that "make fuzz" gives each codec.
FUZZ_TIME ?= 600

# What "make asan" needs besides: it builds nginx itself.
ASAN_PACKAGES := dpkg-dev libpcre2-dev zlib1g-dev

# Folders with a package.json of their own.
NPM_DIRS := $(patsubst %/package.json,%,$(wildcard \
            t/package.json t/*/package.json demo/package.json \
            demo/*/package.json))


SRCS := $(sort $(wildcard src/*.c src/*/*.c))
HDRS := $(sort $(wildcard src/*.h src/*/*.h))

# make -j hands its job slots down, otherwise the build takes its own
jobs  = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(JOBS))
quiet = $(if $(V),,-s)

comma := ,

# true if T names one of these suites, or a file of theirs
only  = $(filter $(foreach suite,$(1),$(suite)% t/$(suite)%),$(T))


.PHONY: build
build: $(SO)  ## build the module (the default)

.PHONY: run
run:  ## install, build, run the chat demo until Ctrl-C
	@t/deps apt $(RUN_PACKAGES)
	@t/deps npm demo
	@$(MAKE) $(jobs) --no-print-directory build
	@BUILD=$(abspath $(B)) SIO_MODULE=$(SIO_MODULE) exec demo/run

.PHONY: test
test: deps  ## install, build, run the tests; T=unit, T=gateway, T=file, T=word
	@$(MAKE) $(jobs) --no-print-directory build \
	    $(if $(call only,gateway clients cluster protocol chaos faults fuzz \
	        cost differential),,unit-programs) \
	    $(if $(call only,gateway clients cluster protocol unit fuzz cost \
	        differential),,faults) \
	    $(if $(call only,gateway clients cluster protocol chaos faults unit \
	        demo cost),,fuzz-programs differential-program)
	@BUILD=$(B) SIO_MODULE=$(SIO_MODULE) SIO_FAULTS_MODULE=$(FAULTS_SO) \
	    SIO_SHIM_LIBRARY=$(SHIM_SO) t/run $(T)

.PHONY: unit
unit: unit-programs  ## run the unit tests of src/proto and src/store
	@BUILD=$(B) SIO_MODULE=$(SIO_MODULE) t/run unit

.PHONY: fuzz
fuzz: fuzz-programs  ## fuzz src/proto, FUZZ_TIME=600 s a codec; T=json for one
	@BUILD=$(B) FUZZ_TIME=$(FUZZ_TIME) t/fuzz/run $(T)

.PHONY: gateway
gateway: build  ## run the tests with nginx, Redis and official clients
	@BUILD=$(B) SIO_MODULE=$(SIO_MODULE) t/run gateway

.PHONY: cost
cost: build  ## count instructions of the hot path; RENEW=1 keeps the counts
	@t/deps apt valgrind
	@RENEW=$(RENEW) BUILD=$(B) SIO_MODULE=$(SIO_MODULE) t/run cost

.PHONY: chaos
chaos: build faults  ## kill, reload, stop and upgrade for some 20 minutes
	@CHAOS=full LANES=1 TIMEOUT=3600 BUILD=$(B) SIO_MODULE=$(SIO_MODULE) \
	    SIO_FAULTS_MODULE=$(FAULTS_SO) t/run chaos

.PHONY: faults-full
faults-full: build faults  ## let each allocation fail, for 40 minutes
	@FAULTS=full LANES=2 TIMEOUT=7200 BUILD=$(B) SIO_MODULE=$(SIO_MODULE) \
	    SIO_FAULTS_MODULE=$(FAULTS_SO) SIO_SHIM_LIBRARY=$(SHIM_SO) \
	    t/run $(or $(T),faults)

.PHONY: asan
asan: deps deps-asan  ## run the tests with nginx under sanitizers; T= as above
	@$(MAKE) $(jobs) --no-print-directory asan-nginx asan-units $(SHIM_SO)
	@BUILD=$(abspath $(B)/asan) SIO_NGINX=$(ASAN_NGINX) \
	    SIO_SHIM_LIBRARY=$(SHIM_SO) t/asan/run $(T)

.PHONY: fuzz-session
fuzz-session: deps deps-asan  ## 5 minutes of random sessions; SEED=n
	@$(MAKE) $(jobs) --no-print-directory asan-nginx
	@BUILD=$(abspath $(B)/asan) SIO_NGINX=$(ASAN_NGINX) CHAOS=full \
	    t/asan/run t/chaos/fuzz.test.js

.PHONY: model
model:  ## check the models of the log, the owner word and the feed
	@t/deps apt spin gcc libc6-dev
	@BUILD=$(B) t/model/run $(T)

.PHONY: lint
lint: build  ## check layers, symbols, style, clang, scripts; under 20 s
	@t/lint $(OBJS) $(NGX_TREE)

.PHONY: bench
bench: build  ## measure beside peers and a raw loop; PEERS= SERIES= REPS=1
	@t/deps apt $(BENCH_PACKAGES)
	@t/deps npm bench/peers t/gateway
	@MODULE=$(SIO_MODULE) SIO_MODULE=$(SIO_MODULE) bench/run

.PHONY: bench-series
bench-series: build  ## only how costs grow; SERIES="workers tls", see bench/
	@t/deps apt $(BENCH_PACKAGES)
	@t/deps npm bench/peers t/gateway
	@SIO_MODULE=$(SIO_MODULE) SCENARIOS=none bench/run

.PHONY: bench-log
bench-log: $(B)/log_bench  ## measure the log alone: ns per record
	@$(B)/log_bench

.PHONY: faults
faults:  ## build the module that a test can kill at each of its steps
	@$(MAKE) $(jobs) --no-print-directory B=$(B)/faults \
	    CC_OPT='$(CC_OPT) -DNGX_SIO_FAULTS=1' \
	    LD_OPT='$(LD_OPT) $(addprefix -Wl$(comma)--wrap=,$(FAULTS_WRAP))' \
	    build $(B)/faults/shim.so

.PHONY: deps
deps:  ## install the apt and npm packages that are missing
	@t/deps apt $(PACKAGES)
	@t/deps npm $(NPM_DIRS)

.PHONY: deps-asan
deps-asan:  ## the same for "make asan", and the source of nginx
	@t/deps apt $(ASAN_PACKAGES)
	@t/asan/source nginx $(B)/asan

.PHONY: clean
clean:  ## remove all that was built
	rm -rf $(B)

.PHONY: help
help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' Makefile \
	    | awk -F '\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'
	@echo
	@echo '  PORT=3000 REDIS_PORT=6379  where nginx and Redis of the demo listen'
	@echo '  NGX_SRC=dir    build against a plain nginx tree, which stays clean'
	@echo '  CC=clang       another compiler'
	@echo '  B=dir          build there, not in build'
	@echo '  CC_OPT= LD_OPT=  further options for the module'
	@echo '  V=1            show the commands'

.PHONY: FORCE
FORCE:


# The module.
#
# nginx is configured out of tree into build/nginx.  That is done again when
# config, the list of files, the compiler or nginx itself is another one;
# nginx's own makefile then knows which objects are older than their sources.

ifeq ($(NGX_SRC),)

NGX_TREE  := /usr/share/nginx/src
NGX_ID     = cksum $(NGX_TREE)/conf_flags $(NGX_TREE)/src/core/nginx.h
NGX_FLAGS  = "$${NGX_CONF_FLAGS[@]}"
NGX_SETUP  = . ./conf_flags

else

# configure of a plain tree writes a Makefile into the tree it is called in,
# so it is called in a folder of links

NGX_TREE  := $(abspath $(B))/tree
NGX_ID     = cksum $(NGX_SRC)/src/core/nginx.h
NGX_FLAGS  = --with-compat --with-debug --with-threads \
             --with-http_ssl_module --with-http_v2_module
NGX_SETUP  = :

endif

$(B)/inputs: FORCE
	@mkdir -p $(B)
	@{ echo "$(CURDIR)"; echo '$(CC) | $(CC_OPT) | $(LD_OPT)'; \
	   echo '$(abspath $(NGX_SRC))'; $(NGX_ID) 2>/dev/null; \
	   printf '%s\n' $(SRCS) $(HDRS); } > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(B)/nginx/Makefile: config $(B)/inputs
	@rm -rf $(B)/nginx $(B)/tree && mkdir -p $(B)/nginx
ifneq ($(NGX_SRC),)
	@test -f $(NGX_SRC)/src/core/nginx.h \
	    || { echo 'make: no nginx sources in NGX_SRC=$(NGX_SRC)' >&2; exit 1; }
	@mkdir $(B)/tree && for f in $(abspath $(NGX_SRC))/*; do \
	    case $$f in */Makefile|*/objs) ;; *) ln -s $$f $(B)/tree/ ;; esac; done
else
	@test -f $(NGX_TREE)/conf_flags || { echo "make: the package nginx-dev \
	is missing: run 'make deps', or give NGX_SRC=dir" >&2; exit 1; }
endif
	@echo 'configuring for nginx' "$$(sed -n \
	    's/^#define NGINX_VERSION *"\(.*\)"/\1/p' \
	    $(NGX_TREE)/src/core/nginx.h) in $(or $(NGX_SRC),$(NGX_TREE))"
	@cd $(NGX_TREE) && $(NGX_SETUP) && configure=./configure \
	&& { test -f configure || configure=auto/configure; } \
	&& $$configure $(NGX_FLAGS) --with-cc='$(CC)' \
	    --with-cc-opt='$(CC_OPT)' --with-ld-opt='$(LD_OPT)' \
	    --add-dynamic-module=$(CURDIR) --builddir=$(OBJS) \
	    > $(OBJS)/configure.log 2>&1 \
	|| { tail -n 4 $(OBJS)/configure.log >&2; rm -f $(OBJS)/Makefile; exit 1; }

# a running nginx may have the old file mapped: put the new one in its place
$(SO): $(B)/nginx/Makefile FORCE
	@$(MAKE) $(quiet) $(jobs) --no-print-directory \
	    -f $(OBJS)/Makefile -C $(NGX_TREE) modules
	@cmp -s $(OBJS)/$(MODULE).so $@ || { cp $(OBJS)/$(MODULE).so $@.new \
	    && mv $@.new $@ && echo 'built $@'; }


# nginx and the module in one program, under sanitizers.
#
# NGX_DEBUG_PALLOC makes pools take each piece of memory from malloc(), where
# AddressSanitizer watches it.  Shared memory, which it does not see, is
# checked by the module itself: see src/core/ngx_sio_check.h.

ASAN_TREE   := $(abspath $(B))/asan/nginx
ASAN_OBJS   := $(abspath $(B))/asan/objs
ASAN_NGINX  := $(ASAN_OBJS)/nginx

ASAN_FLAGS  := -fsanitize=address,undefined
ASAN_CC_OPT := -g -O1 -fno-omit-frame-pointer $(ASAN_FLAGS) \
               -DNGX_DEBUG_PALLOC=1 -DNGX_SIO_CHECK=1 -DNGX_SIO_FAULTS=1

$(ASAN_OBJS)/inputs: FORCE
	@mkdir -p $(@D)
	@{ echo '$(CURDIR) $(CC) $(ASAN_CC_OPT)'; cat $(ASAN_TREE).version; \
	   printf '%s\n' $(SRCS) $(HDRS); } > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# configure writes a Makefile into the tree that nobody needs
$(ASAN_OBJS)/Makefile: config $(ASAN_OBJS)/inputs
	@cd $(ASAN_TREE) && ./configure --with-debug --with-threads \
	    --with-pcre-jit --with-http_ssl_module --with-http_v2_module \
	    --with-http_realip_module --with-http_auth_request_module \
	    --with-http_stub_status_module --with-cc='$(CC)' \
	    --with-cc-opt='$(ASAN_CC_OPT)' --with-ld-opt='$(ASAN_FLAGS)' \
	    --add-module=$(CURDIR) --builddir=$(ASAN_OBJS) \
	    > $(ASAN_OBJS)/configure.log 2>&1 \
	|| { tail -n 4 $(ASAN_OBJS)/configure.log >&2; rm -f $@; exit 1; }

.PHONY: asan-nginx
asan-nginx: $(ASAN_OBJS)/Makefile FORCE
	@$(MAKE) $(quiet) $(jobs) --no-print-directory \
	    -f $(ASAN_OBJS)/Makefile -C $(ASAN_TREE) binary


# What t/faults loads in front of nginx, so that calls fail; and what the module
# asks of pools, which it hands to src/core/ngx_sio_fault.c for the same end: all
# that it calls while it serves.  ngx_array_create() is for configurations, and
# ngx_create_pool(), ngx_alloc() and the like are met at the heap.

FAULTS_WRAP := ngx_palloc ngx_pnalloc ngx_pcalloc ngx_pstrdup ngx_list_push \
               ngx_array_push ngx_create_temp_buf ngx_alloc_chain_link \
               ngx_pool_cleanup_add ngx_http_cleanup_add

$(sort $(SHIM_SO) $(B)/shim.so $(B)/faults/shim.so): t/faults/shim.c
	@mkdir -p $(@D)
	$(say)$(CC) -std=gnu11 -g -O2 -W -Wall -Wextra -Werror -fPIC -shared \
	    -o $@.new $< -ldl && mv $@.new $@


# Unit tests.
#
# t/unit/t_store*.c are linked with src/proto and src/store and run at full
# speed; all other t/unit/t_*.c are linked with src/proto alone and run under
# sanitizers.  Files of t/unit without "t_" are help for the programs.  "make
# asan" runs those of the store under sanitizers, too.

U            := $(B)/unit
UNIT_STORE   := $(wildcard t/unit/t_store*.c)
UNIT_PROTO   := $(filter-out $(UNIT_STORE),$(wildcard t/unit/t_*.c))
UNIT_HELP    := $(filter-out t/unit/t_%,$(wildcard t/unit/*.c))

UNIT_PROGRAMS := $(patsubst t/unit/%.c,$(U)/%,$(UNIT_PROTO) $(UNIT_STORE))

ASAN_U       := $(B)/asan/unit
ASAN_UNITS   := $(patsubst $(U)/%,$(ASAN_U)/%,$(UNIT_PROGRAMS))

SAN_OBJS     := $(patsubst %.c,$(U)/san/%.o,$(wildcard src/proto/*.c))
SAN_STORE    := $(patsubst %.c,$(U)/san/%.o,$(wildcard src/store/*.c))
FAST_OBJS    := $(patsubst %.c,$(U)/fast/%.o,\
                $(wildcard src/proto/*.c src/store/*.c))

UNIT_CFLAGS  := -std=gnu11 -g -W -Wall -Wextra -Wpointer-arith \
                -Wno-unused-parameter -Werror \
                -DNGX_SIO_FAULTS=1 -DNGX_SIO_CHECK=1 \
                -Isrc -Isrc/proto -Isrc/store -It/unit \
                $(addprefix -isystem $(NGX_TREE)/src/,\
                core event event/quic os/unix) -isystem $(OBJS)
UNIT_LIBS    := -lcmocka -ljansson -lmsgpackc -lz -lpthread -lm

SAN_FLAGS    := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
                -fno-sanitize-recover=undefined
FAST_FLAGS   := -O2

say           = $(if $(V),,@)

.PHONY: unit-programs
unit-programs: $(UNIT_PROGRAMS)

.PHONY: asan-units
asan-units: $(ASAN_UNITS)

$(B)/log_bench: bench/log_bench.c $(wildcard src/proto/*.[ch] src/store/*.[ch]) \
    $(U)/flags | $(B)/nginx/Makefile
	$(say)$(CC) $(filter-out -DNGX_SIO_%,$(UNIT_CFLAGS)) $(FAST_FLAGS) \
	    -o $@ $(filter %.c,$^) -ljansson -lz -lpthread -lm

$(U)/flags: FORCE
	@mkdir -p $(U)
	@{ echo '$(CC) $(UNIT_CFLAGS) | $(SAN_FLAGS) | $(FAST_FLAGS)'; \
	   $(NGX_ID) 2>/dev/null; } > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# the headers of nginx need the generated ngx_auto_config.h
$(U)/san/%.o: %.c $(U)/flags | $(B)/nginx/Makefile
	@mkdir -p $(@D)
	$(say)$(CC) $(UNIT_CFLAGS) $(SAN_FLAGS) -MMD -MP -c -o $@ $<

$(U)/fast/%.o: %.c $(U)/flags | $(B)/nginx/Makefile
	@mkdir -p $(@D)
	$(say)$(CC) $(UNIT_CFLAGS) $(FAST_FLAGS) -MMD -MP -c -o $@ $<

# an archive, so that a program takes what it uses of the help
$(U)/san/help.a: $(patsubst %.c,$(U)/san/%.o,$(UNIT_HELP))
$(U)/fast/help.a: $(patsubst %.c,$(U)/fast/%.o,$(UNIT_HELP))
$(U)/%/help.a: $(U)/flags
	@mkdir -p $(@D) && rm -f $@ && ar rcs $@ $(filter %.o,$^)

$(patsubst t/unit/%.c,$(U)/%,$(UNIT_PROTO)): $(U)/%: \
    $(U)/san/t/unit/%.o $(SAN_OBJS) $(U)/san/help.a
	$(say)$(CC) $(SAN_FLAGS) -o $@ $^ $(UNIT_LIBS)

# what is to be equal to what hiredis makes
$(U)/t_resp: UNIT_LIBS += -lhiredis

$(patsubst t/unit/%.c,$(U)/%,$(UNIT_STORE)): $(U)/%: \
    $(U)/fast/t/unit/%.o $(FAST_OBJS) $(U)/fast/help.a
	$(say)$(CC) -o $@ $^ $(UNIT_LIBS)

$(patsubst t/unit/%.c,$(ASAN_U)/%,$(UNIT_STORE)): $(ASAN_U)/%: \
    $(U)/san/t/unit/%.o $(SAN_OBJS) $(SAN_STORE) $(U)/san/help.a
	@mkdir -p $(@D)
	$(say)$(CC) $(SAN_FLAGS) -o $@ $^ $(UNIT_LIBS)

$(patsubst t/unit/%.c,$(ASAN_U)/%,$(UNIT_PROTO)): $(ASAN_U)/%: $(U)/%
	@mkdir -p $(@D) && ln -f $< $@


# Fuzzing, and comparing with the parsers of the reference.
#
# Each t/fuzz/fuzz_<codec>.c is a target of libFuzzer, linked with src/proto.
# It takes clang, whatever CC is.

F            := $(B)/fuzz
FUZZ_CC      ?= clang
FUZZ_PROGRAMS := $(patsubst t/fuzz/%.c,$(F)/%,$(wildcard t/fuzz/fuzz_*.c))
FUZZ_OBJS    := $(patsubst %.c,$(F)/o/%.o,$(wildcard src/proto/*.c))
FUZZ_LIBS    := $(filter-out -lcmocka,$(UNIT_LIBS))
FUZZ_FLAGS   := -D_GNU_SOURCE -It/fuzz -O1 -fno-omit-frame-pointer \
                -fsanitize=fuzzer,address,undefined \
                -fno-sanitize-recover=undefined

.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_PROGRAMS)

.PHONY: differential-program
differential-program: $(U)/differential

$(F)/flags: FORCE
	@mkdir -p $(F)
	@echo '$(FUZZ_CC) $(UNIT_CFLAGS) $(FUZZ_FLAGS)' > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(F)/o/%.o: %.c $(F)/flags
	@mkdir -p $(@D)
	$(say)$(FUZZ_CC) $(UNIT_CFLAGS) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<

# an archive, so that a target counts the edges of what it uses
$(F)/proto.a: $(FUZZ_OBJS)
	@rm -f $@ && ar rcs $@ $^

$(FUZZ_PROGRAMS): $(F)/%: $(F)/o/t/fuzz/%.o $(F)/proto.a
	$(say)$(FUZZ_CC) $(FUZZ_FLAGS) -o $@ $^ $(FUZZ_LIBS)

# what is to be equal to what hiredis makes
$(F)/fuzz_resp: FUZZ_LIBS += -lhiredis

$(U)/differential: $(U)/san/t/differential/parse.o $(SAN_OBJS)
	$(say)$(CC) $(SAN_FLAGS) -o $@ $^ $(UNIT_LIBS)

.SECONDARY:
-include $(shell test -d $(F) && find $(F) -name '*.d')
-include $(shell test -d $(U) && find $(U) -name '*.d')
