"""A process whose environment lies on a page of a filesystem that answers no read.

Serves a FUSE filesystem of one file in a mount namespace of its own. Its child maps that
file over its environment, prints `READY PID`, and waits. Ending this one ends both.
(Server and user must be two: a process that holds a file of its own server cannot exit.)
"""
import ctypes, os, struct, sys, time

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]

SIZE = 1 << 20
ATTR = struct.pack('<QQQQQQIIIIIIIIII', 2, SIZE, 8, 0, 0, 0, 0, 0, 0, 0o100644, 1, 0, 0, 0, 4096, 0)
ROOT = struct.pack('<QQQQQQIIIIIIIIII', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)


def serve(fuse):
    while True:
        request = os.read(fuse, 1 << 21)
        length, opcode, unique, node = struct.unpack('<IIQQ', request[:24])
        if opcode == 15:  # READ: never
            continue
        body = {
            26: struct.pack('<IIIIHHIIHHI', 7, 31, 0, 0, 12, 9, 1 << 17, 1, 1, 0, 0) + bytes(28),  # INIT
            1: struct.pack('<QQQQII', 2, 1, 3600, 3600, 0, 0) + ATTR,  # LOOKUP
            3: struct.pack('<QII', 3600, 0, 0) + (ROOT if node == 1 else ATTR),  # GETATTR
            14: struct.pack('<QII', 1, 0, 0),  # OPEN
        }.get(opcode)
        error = 0 if body is not None else -38
        body = body or b''
        os.write(fuse, struct.pack('<IiQ', 16 + len(body), error, unique) + body)


where = sys.argv[1]
os.makedirs(where, exist_ok=True)
if libc.unshare(0x20000) != 0 or libc.mount(b'none', b'/', None, 0x44000, None) != 0:
    sys.exit('no mount namespace')
fuse = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={fuse},rootmode=40000,user_id=0,group_id=0'.encode()
if libc.mount(b'never', where.encode(), b'fuse', 0, options) != 0:
    sys.exit('no fuse')
if os.fork():
    serve(fuse)
os.close(fuse)
libc.prctl(1, 9)  # PR_SET_PDEATHSIG
file = os.open(os.path.join(where, 'file'), os.O_RDONLY)
start, stop = [int(x) for x in open('/proc/self/stat').read().rsplit(')', 1)[1].split()[47:49]]
page = (start + 4095) & ~4095
length = (stop - page) & ~4095
# MAP_PRIVATE | MAP_FIXED
if length <= 0 or libc.mmap(page, length, 1, 0x12, file, 0) != page:
    sys.exit('could not map over the environment')
os.close(file)
print('READY', os.getpid(), flush=True)
time.sleep(30)
