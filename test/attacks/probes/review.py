# One client that means to keep others from the daemon: review.py WHAT SOCKET ...
import errno, glob, json, os, signal, socket, struct, sys, threading, time

what, path = sys.argv[1], sys.argv[2]


def connect(wait=None):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(wait)
    one.connect(path)
    return one


def connections(count):
    held = []
    try:
        for _ in range(count): held.append(connect(1))
    except OSError as error:
        # A full queue: all that can be had are held.
        if error.errno not in (errno.EAGAIN,):
            print(errno.errorcode[error.errno], flush=True)
            return
    print(len(held), flush=True)
    time.sleep(60)


def flood(seconds):
    body = json.dumps({'input': {'k%02d' % at: 'x y ' * 500 for at in range(12)}}).encode()
    request = b'POST /v1/caller.show HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' % len(body) + body
    counts, end = {}, time.time() + seconds

    def ask():
        one = connect()
        while time.time() < end:
            one.sendall(request)
            answer = one.recv(65536)
            code = answer.split(b'"code":"')[-1].split(b'"')[0].decode()[:20]
            counts[code] = counts.get(code, 0) + 1
            if code == 'too-many': time.sleep(0.05)

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(counts, flush=True)


def deaf(ref):
    one = connect()
    one.sendall(b'GET /v1/cell.logs HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: bulkhead/1\r\n\r\n')
    said = b''
    while b'\r\n\r\n' not in said: said += one.recv(1)
    print(said.split(b'\r\n')[0], flush=True)
    payload = json.dumps({'type': 'open', 'input': {'ref': ref, 'follow': True}}).encode()
    one.sendall(struct.pack('>BI', 3, len(payload)) + payload)
    time.sleep(60)


def hold(ref, seconds):
    body = json.dumps({'input': {'ref': ref}}).encode()
    request = b'POST /v1/config.diff HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' % len(body) + body

    def ask():
        while True:
            one = connect()
            one.sendall(request)
            one.recv(1000)
            one.close()

    for _ in range(2): threading.Thread(target=ask, daemon=True).start()
    stopped, end = 0, time.time() + seconds
    while time.time() < end:
        for process in glob.glob('/proc/[0-9]*'):
            try:
                if b'cell-helper' not in open(process + '/cmdline', 'rb').read(): continue
                os.kill(int(process[6:]), signal.SIGSTOP)
                stopped += 1
            except OSError: pass
        time.sleep(0.003)
    print('stopped' if stopped else 'none', flush=True)
    os._exit(0)


def doctors(count):
    request = b'POST /v1/machine.doctor HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}'
    held = [connect() for _ in range(count)]
    for one in held: one.sendall(request)
    print(len(held), flush=True)
    time.sleep(20)


def again(ref):
    body = json.dumps({'input': {'ref': ref}}).encode()
    while True:
        try:
            one = connect()
            one.sendall(b'POST /v1/cell.restart HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
            one.recv(1000)
            one.close()
        except OSError: pass


{'again': lambda: again(sys.argv[3]), 'doctors': lambda: doctors(int(sys.argv[3])), 'hold': lambda: hold(sys.argv[3], float(sys.argv[4])), 'connections': lambda: connections(int(sys.argv[3])), 'flood': lambda: flood(float(sys.argv[3])), 'deaf': lambda: deaf(sys.argv[3])}[what]()
