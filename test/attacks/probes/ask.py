# Asks a daemon's socket, possibly from namespaces that are not this process's: ask.py JSON
# {socket, asks: [[method, path, body]], enter: [[file, kind]], uid}. Prints what came back to each.
import ctypes, json, os, socket, sys

given = json.loads(sys.argv[1])
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


def ask(method, path, body):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(8)
    try:
        connection.connect(given['socket'])
        data = json.dumps(body).encode()
        connection.sendall(f'{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n'.encode() + data)
        answer = b''
        while len(answer) < 1 << 20:
            piece = connection.recv(65536)
            if not piece:
                break
            answer += piece
        return answer.decode(errors='replace')
    except OSError as error:
        return f'error {error}'


enter()
print(json.dumps([ask(*each) for each in given['asks']]))
