# Asks a daemon's socket, possibly from namespaces that are not this process's: ask.py FILE, with JSON
# {socket, asks: [[method, path, body]], enter: [[file, kind]], uid, become: [argv], out}. POST is a request, GET a
# stream (bulkhead/1), RAW bytes in hexadecimal. Prints what came back to each, as JSON, or writes it to `out`.
# `become`: this process connects and becomes our own program, and a child of it speaks on the connections. Typed into a
# signed-in shell, that speaks for the person: docs/design/identity.md says so. Tests use it to send what
# our program would not.
import ctypes, json, os, signal, socket, struct, sys, time

given = json.load(open(sys.argv[1]))
libc = ctypes.CDLL(None, use_errno=True)


def enter():
    files = [(os.open(file, os.O_RDONLY), kind) for file, kind in given.get('enter', [])]
    for fd, kind in files:
        if libc.setns(fd, kind) < 0:
            raise OSError(ctypes.get_errno(), f'setns {kind:x}')
    # A new pid namespace is that of the children.
    if files and os.fork():
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
    if 'uid' in given:
        os.setgroups([])
        os.setresgid(given['uid'], given['uid'], given['uid'])
        os.setresuid(given['uid'], given['uid'], given['uid'])


def dial():
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(given.get('timeout', 8))
    connection.connect(given['socket'])
    return connection


def request(connection, path, body):
    data = json.dumps(body).encode()
    connection.sendall(f'POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n'.encode() + data)
    return read(connection).decode(errors='replace')


def read(connection):
    answer = b''
    while len(answer) < 1 << 20:
        piece = connection.recv(65536)
        if not piece:
            break
        answer += piece
    return answer


def frame(channel, payload):
    return struct.pack('>BI', channel, len(payload)) + payload


def stream(connection, path, body):
    """The control frames that came, one a line, below the head of the answer. `upload`: a file for channel 0; `cut`: the
    connection ends after so many bytes of it."""
    connection.sendall(f'GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: bulkhead/1\r\n\r\n'.encode())
    upload, cut = body.pop('upload', None), body.pop('cut', None)
    try:
        connection.sendall(frame(3, json.dumps({'type': 'open', **body}).encode()))
        if upload:
            with open(upload, 'rb') as file:
                while piece := file.read(65536):
                    connection.sendall(frame(0, piece))
                    if cut and file.tell() >= cut:
                        connection.close()
                        return 'cut'
        connection.sendall(frame(0, b''))
    except OSError:
        pass
    head, _, rest = read(connection).partition(b'\r\n\r\n')
    lines, at = [], 0
    if not head.startswith(b'HTTP/1.1 101'):
        return (head + b'\r\n\r\n' + rest).decode(errors='replace')
    while at + 5 <= len(rest):
        channel, length = struct.unpack('>BI', rest[at:at + 5])
        if channel == 3:
            lines.append(rest[at + 5:at + 5 + length].decode(errors='replace'))
        at += 5 + length
    return head.decode() + '\r\n\r\n' + '\n'.join(lines)


def raw(connection, hexadecimal):
    """Bytes as they are."""
    began = time.time()
    try:
        connection.sendall(bytes.fromhex(hexadecimal))
    except OSError:
        pass
    try:
        answer = read(connection).decode(errors='replace')
    except socket.timeout:
        answer = 'nothing came, and it was not ended'
    return f'after {time.time() - began:.1f} s: {answer}'


def ask(connection, method, path, body):
    try:
        if method == 'RAW':
            return raw(connection, path)
        return (request if method == 'POST' else stream)(connection, path, body)
    except OSError as error:
        return f'error {error}'


def main():
    answers, connections = [], []
    for method, path, body in given['asks']:
        try:
            connections.append(dial())
        except OSError as error:
            connections.append(None)
            answers.append(f'error {error}')
    program = os.getpid()
    if 'become' in given and os.fork() == 0:
        time.sleep(0.4)
    elif 'become' in given:
        null = os.open('/dev/null', os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execv(given['become'][0], given['become'])
    answers = [ask(connection, *each) if connection else f'error not connected: {answers}' for connection, each in zip(connections, given['asks'])]
    if 'out' not in given:
        return print(json.dumps(answers))
    with open(given['out'] + '.new', 'w') as file:
        json.dump(answers, file)
    os.rename(given['out'] + '.new', given['out'])
    os.kill(program, signal.SIGKILL)


enter()
main()
