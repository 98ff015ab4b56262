"""Clients of python-socketio that python.js tells what to do.

Commands come as lines of JSON, what happens goes out as such lines; "who" is
the number of a client.  The argument is the kind of clients: sync or asyncio.
Bytes, and integers that JavaScript does not have, are objects with one key,
"$bytes" and "$int".
"""

import asyncio
import base64
import concurrent.futures
import inspect
import json
import os
import queue
import sys
import threading

import engineio
import socketio

KIND = sys.argv[1]

# The sync client has a thread for each packet.  They follow each other if none
# is interrupted; else an attachment may overtake what it belongs to.
sys.setswitchinterval(1)

# As shipped, 17 packets in the answer to a poll make a client give up.
engineio.payload.Payload.max_decode_packets = 10000

lines = queue.SimpleQueue()


def pack(value):
    if isinstance(value, bytes):
        return {'$bytes': base64.b64encode(value).decode()}
    if isinstance(value, int) and abs(value) >= 2 ** 53:
        return {'$int': str(value)}
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    if isinstance(value, dict):
        return {key: pack(item) for key, item in value.items()}
    return value


def unpack(value):
    if '$bytes' in value:
        return base64.b64decode(value['$bytes'])
    return value


def write():
    while True:
        sys.stdout.write(json.dumps(pack(lines.get())) + '\n')
        sys.stdout.flush()


async def call(method, *args, **options):
    """Calls a method that is a coroutine in one of the two kinds."""
    if inspect.iscoroutinefunction(method):
        return await method(*args, **options)
    return await asyncio.to_thread(method, *args, **options)


class Raw(engineio.packet.Packet):
    """What is sent as it is."""

    def __init__(self, text):
        super().__init__(engineio.packet.MESSAGE)
        self.text = text

    def encode(self, b64=False):
        return self.text


class Known:
    """Says when connect() is over, which another thread or task waits in.

    'connect' and the first events come before that, and for so long the
    library tells nobody when it is disconnected.
    """

    @property
    def connected(self):
        return self._connected

    @connected.setter
    def connected(self, value):
        self._connected = value
        if value:
            self.known()


class Sync(Known, socketio.Client):
    pass


class Asyncio(Known, socketio.AsyncClient):
    pass


class Client:
    def __init__(self, who):
        self.who = who
        self.stock = {'sync': Sync, 'asyncio': Asyncio}[KIND](
            reconnection_delay=0.05, reconnection_delay_max=0.2,
            randomization_factor=0, handle_sigint=False)

        stock = self.stock
        stock.known = lambda: self.tell('known')
        stock.on('connect', lambda: self.tell(
            'connect', id=stock.get_sid(), transport=stock.transport()))
        stock.on('connect_error', lambda error=None: self.tell(
            'refused', error=error))
        stock.on('disconnect', lambda: self.tell('disconnect'))
        stock.on('*', lambda event, *args: self.tell(
            'event', event=event, args=args))
        stock.on('connect_error', lambda *args: self.tell('taken'),
                 namespace='/nobody')

    def tell(self, what, **values):
        lines.put({'who': self.who, 'what': what, **values})

    async def connect(self, url, auth, transports):
        try:
            await call(self.stock.connect, url, auth=auth, namespaces='/',
                       transports=transports, wait_timeout=8)
        except socketio.exceptions.ConnectionError as error:
            self.tell('failed', error=str(error))

    async def emit(self, event, args):
        await call(self.stock.emit, event, tuple(args))

    async def leave(self):
        last = self.stock.eio.write_loop_task
        await call(self.stock.disconnect)
        return asyncio.create_task(self.left(last))

    async def left(self, last):
        # it says that it leaves before it lets the server know
        if KIND == 'sync' and last:
            await asyncio.to_thread(last.join)
        elif last:
            await asyncio.wait([last])
        self.tell('left')

    async def raw(self, packet):
        await call(self.stock.eio._send_packet, Raw(packet))

    async def taken(self):
        await call(self.stock._send_packet, self.stock.packet_class(
            socketio.packet.CONNECT, namespace='/nobody'))

    async def mute(self):
        send = self.stock.eio._send_packet

        def but_pongs(packet):
            if packet.packet_type != engineio.packet.PONG:
                return send(packet)
            return asyncio.sleep(0) if KIND == 'asyncio' else None

        self.stock.eio._send_packet = but_pongs


async def main():
    clients = {}
    running = set()

    threading.Thread(target=write, daemon=True).start()
    asyncio.get_running_loop().set_default_executor(
        concurrent.futures.ThreadPoolExecutor(100))

    while True:
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            os._exit(0)
        command = json.loads(line, object_hook=unpack)
        who, what = command.pop('who'), command.pop('do')

        if what == 'connect':
            # takes a while, above all if it is refused
            clients[who] = Client(who)
            task = asyncio.create_task(clients[who].connect(**command))
        else:
            task = await getattr(clients[who], what)(**command)
        if task:
            running.add(task)
            task.add_done_callback(running.discard)


asyncio.run(main())
