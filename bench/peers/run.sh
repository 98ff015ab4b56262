#!/bin/bash
#
# run.sh PEER SCENARIO [REPETITIONS]: one measurement, see ../README.md.
#
#   PEER      sio | sio2 | node | node2 | bun | eiows | nchan | nchan2
#             | raw | ext | ext-sio
#   SCENARIO  S1 S1L S2 S2L S3 S4 S4x1 S4b S5 S5a S5rs S5es S6
#
# sio is this module with one worker, sio2 with two; raw is the loop that only
# sends, for S1, S1L, S2, and S3.
#
# ext is any server given by EXT_CMD that speaks plain WebSocket: a request
# for /sub/ROOM[,ROOM..] subscribes, a message "ROOM PACKET" on /pub
# publishes; PORT is in its environment.  ext-sio is any Socket.IO server given
# by EXT_CMD; PORT, REDIS and PING (ms) are in its environment; it must take
# HS256 tokens with a claim "rooms", the secret is that of common.js.
#
# Servers and, but for S1L and S2L, the load generator run on CPU 0, Redis and
# the publisher on the last CPU: with both ends on one CPU a delivery costs the
# same from one run to the next; across CPUs the same work varies threefold.
#
# S1L is about latency: no CPU is halted, server, Redis and load generator go
# before whatever else the machine has to do, as ../lib.js tells, and the loop
# is measured beside each of three runs at least.  As root; else it is as S1.
#
# Each run adds a line of JSON to $OUT/PEER.SCENARIO.json; if one fails,
# $OUT/PEER.SCENARIO.failed says why.
#
#   NGINX     the binary (nginx)
#   MODULE    the module (../../build/ngx_http_socketio_module.so)
#   OUT       folder of the results (../out)
#   PORT REDIS    ports to listen on (7651, 7650)
#   RATE      messages a second in S1 and S1L (100)

set -u

if [ $# -lt 2 ]; then
    sed -n '3,7p' "$0" >&2
    exit 1
fi

here=$(cd "$(dirname "$0")" && pwd)

peer=$1
scenario=$2
reps=${3:-3}

OUT=${OUT:-$here/../out}
MODULE=${MODULE:-$here/../../build/ngx_http_socketio_module.so}
NGINX=${NGINX:-$(PATH=$PATH:/usr/sbin command -v nginx)}
PORT=${PORT:-7651}
REDIS=${REDIS:-7650}
RATE=${RATE:-100}
PING=25000
[ "$scenario" = S6 ] && PING=5000

export PORT REDIS PING

work=$(mktemp -d)
server=
redis=

mkdir -p "$OUT"
ulimit -n 200000 2>/dev/null || ulimit -n "$(ulimit -Hn)"

near="taskset -c 0"
far="taskset -c $(($(nproc) > 1 ? 1 : 0))"


fail() {
    local lines

    lines=$(tail -n 5 "$work/error.log" 2>/dev/null)
    echo "run.sh: $peer $scenario: $*${lines:+$'\n'$lines}" >&2
    echo "$*${lines:+: ${lines##*$'\n'}}" > "$OUT/$peer.$scenario.failed"
    exit 1
}


stop() {
    [ -n "$1" ] || return 0

    kill "$1" 2>/dev/null
    for _ in $(seq 50); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$1" 2>/dev/null
}

trap 'stop "$server"; stop "$redis"; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM


wait_port() {
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        sleep 0.1
    done
    fail "nothing listens on port $1"
}


# configure FILE.in: fills in a configuration of nginx.
configure() {
    local procs=1 reuseport= key

    case $peer in
        *2)  procs=2 reuseport=" reuseport" ;;
    esac

    if [ $alg = HS256 ]; then
        key=\"$(node -p 'require("./common").SECRET')\"
    else
        key=file=$work/key.pem
    fi

    sed -e "s|@PROCS@|$procs|; s|@REUSEPORT@|$reuseport|" \
        -e "s|@DIR@|$work|; s|@PORT@|$PORT|; s|@REDIS@|$REDIS|" \
        -e "s|@PINGS@|$((PING / 1000))s|; s|@PING@|$PING|" \
        -e "s|@ALG@|$alg|; s|@KEY@|$key|; s|@MODULE@|$(realpath "$MODULE")|" \
        -e "s|@MODULES@|${NGINX_MODULES:-/usr/lib/nginx/modules}|" \
        "$1" > "$work/nginx.conf"
}


start_server() {
    case $peer in
        sio|sio2)
            configure socketio.conf.in
            $near "$NGINX" -p "$work" -c "$work/nginx.conf" &
        ;;
        nchan|nchan2)
            configure nchan.conf.in
            $near "$NGINX" -p "$work" -c "$work/nginx.conf" &
        ;;
        node)   $near node node-server.js & ;;
        node2)  PROCS=2 $near node node-server.js & ;;
        eiows)  ENGINE=eiows $near node node-server.js & ;;
        bun)    $near "${BUN:-node_modules/.bin/bun}" bun-server.js & ;;
        ext|ext-sio)
            # a command with its arguments
            $near $EXT_CMD &
        ;;
        *)      fail "unknown peer" ;;
    esac

    server=$!
    wait_port "$PORT"
    sleep 0.5
    [ -z "$first" ] || prefer "$server"
}


# prefer PID: before all others, the process and its children.
prefer() {
    local pid

    for pid in "$1" $(cat "/proc/$1/task/"*/children); do
        chrt -r -p 2 "$pid"
    done
}


# load OPTION...: the load generator; prints a line of JSON.
load() {
    $first $load_cpu "$bin/sioload" --mode $mode --port "$PORT" \
        --pids "$server" ${redis:+--aux-pids "$redis"} $list "$@"
}


# pub ROOMS COUNT RATE: the command of a publisher.
pub() {
    echo "${second:+env WARM=2000 $second }$far node publish.js $publish $*"
}


# The raw loop: CPU us per delivery.  S1L has that of its own.
raw() {
    [ "$scenario" != S1L ] || return 0

    $near "$bin/rawfan" --messages 100 \
        | sed -E 's/.*"cpu_us_per_delivery":([0-9.]+).*/\1/'
}


# Latencies of the raw loop, its reader on another CPU.
raw_latency() {
    $first "$bin/rawfan" --messages $((RATE * 4)) --rate "$RATE" --pin --latency
}


cd "$here" || exit 1

bin=$(../programs "$OUT/bin") || fail "nothing to measure with"

mode=sio
publish="redis $REDIS"
lists=tokens

case $peer in
    nchan*)
        mode=raw publish="http $PORT" lists=paths1
        case $scenario in S4|S4b) lists=paths5 ;; esac
    ;;
    ext)
        mode=raw publish="ws $PORT" lists=paths5
        [ "$scenario" = S4x1 ] && lists=paths1
    ;;
esac

# The loop has no server: what it prints is the result.
raw_peer() {
    local before

    for rep in $(seq "$reps"); do
        before=$(raw)

        case $scenario in
            S1)
                $near "$bin/rawfan" --messages $((RATE * 10)) --rate "$RATE"
            ;;
            S1L)
                raw_latency
            ;;
            S2)
                $near "$bin/rawfan" --messages 1000
            ;;
            S3)
                $near "$bin/rawfan" --conns 5000 --fanout 5 --messages 20000 \
                    --rate 2000
            ;;
        esac > "$work/one.json"

        [ -s "$work/one.json" ] || fail "no result"

        node summary.js --add "$OUT/$peer.$scenario.json" "$work/one.json" \
            "$peer" "$scenario" "$before" "$(raw)"
    done
}

rm -f "$OUT/$peer.$scenario.failed"

first=
second=

if [ "$scenario" = S1L ]; then
    [ "$reps" -ge 3 ] || reps=3

    if chrt -r 2 true 2>/dev/null; then
        first="chrt -r 2"
        second="chrt -r 1"

        # no CPU is halted as long as this is open
        exec 9> /dev/cpu_dma_latency && printf '\0\0\0\0' >&9
    fi
fi

if [ "$peer" = raw ]; then
    case $scenario in
        S1|S1L|S2|S3)  raw_peer ;;
    esac
    exit
fi

n=1000
more=0
rooms=1
alg=HS256

case $scenario in
    S5rs)  alg=RS256 ;;
    S5es)  alg=ES256 ;;
esac

case $scenario in
    S1|S1L|S2|S2L)  ;;
    S3)             n=5000 rooms=1000 ;;
    S4|S4x1|S6)     n=10000 rooms=10000 ;;
    S4b)            n=18000 rooms=18000 ;;   # with 20000 open files
    S5*)            n=5000 rooms=5000 more=2000 ;;
    *)              fail "unknown scenario" ;;
esac

node tokens.js "$work" $((n + more)) $rooms $alg || fail "no tokens"

option=--paths
[ $mode = sio ] && option=--tokens
list="$option $work/$lists"

# whom nobody meets again
tail -n $more "$work/$lists" > "$work/$lists.warm"

[ "$peer" = ext-sio ] && [ -n "${READY:-}" ] && list="$list --ready $READY"

if [ $mode = sio ]; then
    $far redis-server --port "$REDIS" --bind 127.0.0.1 --daemonize no \
        --save "" --appendonly no --dir "$work" \
        --client-output-buffer-limit "pubsub 0 0 0" > "$work/redis.log" &
    redis=$!
    wait_port "$REDIS"
    [ -z "$first" ] || prefer "$redis"
fi

case $scenario in
    S1L|S2L)  load_cpu=$far ;;
    *)        load_cpu=$near ;;
esac

for rep in $(seq "$reps"); do
    before=$(raw)
    start_server

    # let JIT compilers and allocators settle; S4 and S6 start cold
    case $scenario in
        S1*|S2*)
            load --conns 1000 --publish "$(pub 1 300 0)" \
                 --expect 300000 --recv-timeout 20 > "$work/warm.json"
            sleep 1
        ;;
        S3)
            load --conns $n --publish "$(pub $rooms 10000 0)" \
                 --expect 50000 --recv-timeout 20 > "$work/warm.json"
            sleep 1
        ;;
        S5a)
            load --conns $n > "$work/warm.json"
            sleep 2
        ;;
        S5*)
            load --conns 2000 $option "$work/$lists.warm" > "$work/warm.json"
            sleep 2
        ;;
    esac

    case $scenario in
        S1)
            load --conns $n --publish "$(pub 1 $((RATE * 10)) "$RATE")" \
                 --expect $((RATE * 10000)) --recv-timeout 40 --seqfield n
        ;;
        S1L)
            load --conns $n --publish "$(pub 1 $((RATE * 5)) "$RATE")" \
                 --expect $((RATE * 5000)) --recv-timeout 40 --seqfield n
        ;;
        S2|S2L)
            load --conns $n --publish "$(pub 1 2000 0)" \
                 --expect 2000000 --recv-timeout 60 --seqfield n
        ;;
        S3)
            load --conns $n --publish "$(pub $rooms 20000 2000)" \
                 --expect 100000 --recv-timeout 40
        ;;
        S4*)  load --conns $n --hold 10 ;;
        S5*)  load --conns $n ;;
        S6)   load --conns $n --settle 6 --hold 20 ;;
    esac > "$work/one.json"

    stop "$server"
    server=

    [ -s "$work/one.json" ] || fail "no result"

    after=$(raw)
    [ "$scenario" != S1L ] || raw_latency > "$work/loop.json"

    node summary.js --add "$OUT/$peer.$scenario.json" "$work/one.json" \
        "$peer" "$scenario" "$before" "$after" "$work/loop.json"
done
