# Writes into a directory until it is refused, or until a multiple of a limit is reached: fill.py WAY BYTES. Prints what it wrote.
import os, sys

way, wanted = sys.argv[1], int(sys.argv[2])
top = f'/app/fill-{way}'
os.makedirs(top, exist_ok=True)
os.chdir(top)
wrote = 0
MIB = b'\xa5' * (1 << 20)
noise = os.urandom(1 << 20)


def file(name, data):
    with open(name, 'wb') as out:
        out.write(data)
    return len(data)


def one_file(count):
    with open('one', 'ab') as out:
        out.write(noise)
        out.flush()
        os.fsync(out.fileno())
    return 1 << 20


def nested_directories(count):
    # Twenty deep, each with a file, again and again.
    if count % 20 == 0:
        os.chdir(top)
    name = f'd{count}'
    os.mkdir(name)
    os.chdir(name)
    return file('data', noise)


def empty_files(count):
    # Nothing in them: what is full is the tree of names.
    for each in range(100):
        os.close(os.open(f'{count}-{each}-' + 'n' * 200, os.O_CREAT | os.O_WRONLY))
    return 100 * 700


def small_files(count):
    # So small that their content lies in the tree itself.
    for each in range(100):
        file(f's-{count}-{each}', noise[each:each + 2000])
    return 100 * 2300


def attributes(count):
    for each in range(20):
        name = f'a-{count}-{each}'
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
        os.setxattr(name, 'user.x', noise[each:each + 3500])
    return 20 * 4000


def long_symlinks(count):
    for each in range(50):
        os.symlink('l' * 4000, f'l-{count}-{each}')
    return 50 * 4400


def reserved_space(count):
    fd = os.open(f'r-{count}', os.O_CREAT | os.O_WRONLY)
    os.posix_fallocate(fd, 0, 4 << 20)
    os.close(fd)
    return 4 << 20


def deleted_but_open(count):
    fd = os.open('gone', os.O_CREAT | os.O_WRONLY)
    os.unlink('gone')
    os.write(fd, noise)
    os.fsync(fd)
    return 1 << 20


def overwritten_again_and_again(count):
    # Over what production shares, which stays production's: each byte is the fork's own from then on.
    with open('/app/big', 'r+b') as out:
        out.seek(count << 20)
        out.write(noise)
        out.flush()
        os.fsync(out.fileno())
    return 1 << 20


count = 0
try:
    while wrote < wanted:
        wrote += globals()[way](count)
        count += 1
    os.sync()
except OSError as error:
    print(error, file=sys.stderr)
print(wrote)
