# Waits for a program in this pid namespace, keeps its file open, and writes to it once it has ended: the
# overwrite of the container runtime (CVE-2019-5736). Writes nothing but tells whether it could.
import os, sys, time

wanted, patience = sys.argv[1], time.time() + float(sys.argv[2])
print('watching', flush=True)
kept = {}
while time.time() < patience:
    for pid in os.listdir('/proc'):
        if not pid.isdigit() or pid == str(os.getpid()):
            continue
        try:
            name = os.readlink(f'/proc/{pid}/exe')
            if wanted not in name or name in kept:
                continue
            kept[name] = os.open(f'/proc/{pid}/exe', os.O_RDONLY)
            print('seen', name, flush=True)
        except OSError:
            pass
    for name, fd in kept.items():
        try:
            os.close(os.open(f'/proc/self/fd/{fd}', os.O_WRONLY))
            print('reached', name, flush=True)
            sys.exit(0)
        except OSError:
            pass
print('held', list(kept), flush=True)
