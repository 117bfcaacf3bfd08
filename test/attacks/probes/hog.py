# Takes of one thing that the machine has once for everyone: hog.py WHAT. Stops at six tenths of all there is, so that
# nobody else is disturbed, and prints `reached`, or how far it came.
import ctypes, os, resource, signal, sys, threading

libc = ctypes.CDLL(None, use_errno=True)
PART = 0.6
resource.setrlimit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)[1:] * 2)


def number(path):
    return int(open(path).read())


def terminals():
    os.openpty()
    return 1


def watchers():
    return 1 if libc.inotify_init() >= 0 else None


def asynchronous_io():
    context = ctypes.c_ulong(0)
    return 4096 if libc.syscall(206, 4096, ctypes.byref(context)) >= 0 else None


def pending_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, {34})
    return 1 if libc.sigqueue(os.getpid(), 34, ctypes.c_void_p(1)) == 0 else None


def message_queues():
    queues = ctypes.CDLL('librt.so.1', use_errno=True)
    queues.mq_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
    # Ten messages of 8 KiB and their heads, as the kernel counts a queue that says nothing else.
    made = queues.mq_open(b'/hog-%d' % taken, 0o102, 0o600, None)
    queues.mq_unlink(b'/hog-%d' % taken)
    return 82_900 if made >= 0 else None


def processes():
    # A thread takes a number as a process does, and less memory.
    threading.stack_size(65536)
    threading.Thread(target=signal.sigwait, args=[{35}], daemon=True).start()
    return 1


def memory():
    kept.append(bytearray(16 << 20))
    return 16 << 20


# What there is, as the machine's own root has it.
ALL = {
    'terminals': lambda: number('/proc/sys/kernel/pty/max') - number('/proc/sys/kernel/pty/reserve'),
    'watchers': lambda: int(sys.argv[2]),
    'asynchronous_io': lambda: number('/proc/sys/fs/aio-max-nr'),
    'pending_signals': lambda: int(sys.argv[2]),
    'message_queues': lambda: int(sys.argv[2]),
    'processes': lambda: int(sys.argv[2]),
    'memory': lambda: int(sys.argv[2]),
}
what = sys.argv[1]
wanted, taken, kept = ALL[what]() * PART, 0, []
try:
    while taken < wanted:
        got = globals()[what]()
        if got is None:
            break
        taken += got
except (OSError, RuntimeError):
    pass
print('reached' if taken >= wanted else f'held: {taken} of {wanted / PART:.0f}', flush=True)
os._exit(0)
