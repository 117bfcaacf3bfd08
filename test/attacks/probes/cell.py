# What root of a cell tries against the machine under it: mounts, /proc, /sys, control groups, devices, files.
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
NEWNS, NEWUSER = 0x20000, 0x10000000


@attempt
def write_core_pattern():
    rewrite('/proc/sys/kernel/core_pattern')


@attempt
def write_modprobe_path():
    rewrite('/proc/sys/kernel/modprobe')


@attempt
def write_the_machines_memory_settings():
    rewrite('/proc/sys/vm/swappiness')


@attempt
def press_sysrq():
    # h: help. It only writes to the kernel's log.
    if not os.path.exists('/proc/sysrq-trigger'):
        raise Absent('/proc/sysrq-trigger')
    write('/proc/sysrq-trigger', 'h')


@attempt
def write_core_pattern_through_a_new_procfs():
    sys_call(272, NEWNS)
    mount('none', '/', None, MS_REC | MS_PRIVATE)
    place = directory('proc')
    mount('proc', place, 'proc')
    rewrite(f'{place}/sys/kernel/core_pattern')


def softly(do, *arguments):
    """Tries what may fail: the attempt goes on with what is there."""
    try:
        do(*arguments)
        return True
    except OSError:
        return False


def remount(place):
    """Takes nosuid, nodev, noexec and ro from a mount, where one may."""
    mount('none', place, None, MS_REMOUNT | MS_BIND)


def own_sysfs():
    """A writable sysfs: a new one, or the cell's own made so."""
    sys_call(272, NEWNS)
    mount('none', '/', None, MS_REC | MS_PRIVATE)
    place = directory('sys')
    if softly(mount, 'sysfs', place, 'sysfs'):
        return place
    softly(remount, '/sys')
    return '/sys'


@attempt
def lift_the_pools_write_back_limit():
    # strict_limit and max_bytes of the pool's device keep a writing fork from production's fsync.
    rewrite(f'{own_sysfs()}/fs/btrfs/{GIVEN["fsid"]}/bdi/max_bytes')


@attempt
def change_the_machines_block_devices():
    rewrite(f'{own_sysfs()}/block/{GIVEN["loop"]}/queue/read_ahead_kb')


@attempt
def change_the_pools_settings():
    rewrite(f'{own_sysfs()}/fs/btrfs/{GIVEN["fsid"]}/bg_reclaim_threshold')


def hierarchies():
    """Every hierarchy of control groups that can be mounted, and where in it this process is."""
    sys_call(272, NEWNS)
    mount('none', '/', None, MS_REC | MS_PRIVATE)
    trouble = Held('no hierarchy could be mounted')
    found = []
    for which in ('memory', 'pids', 'devices', 'cpu', 'freezer', None):
        place = directory(which or 'unified')
        try:
            mount('cgroup', place, 'cgroup' if which else 'cgroup2', 0, which)
        except OSError as error:
            trouble = error
            continue
        for line in open('/proc/self/cgroup').read().split('\n'):
            if line and (line.split(':')[1] == (which or '')):
                found.append((place, place + line.split(':', 2)[2]))
    if not found:
        raise trouble
    return found


def rewrite_first(paths):
    trouble = Held('there is no such file')
    for path in paths:
        try:
            return rewrite(path)
        except OSError as error:
            trouble = error
    raise trouble


@attempt
def name_a_release_agent():
    rewrite_first([f'{top}/release_agent' for top, _ in hierarchies()])


@attempt
def lift_its_own_memory_limit():
    rewrite_first([f'{own}/{name}' for _, own in hierarchies() for name in ('memory.limit_in_bytes', 'memory.max')])


@attempt
def lift_its_own_process_limit():
    rewrite_first([f'{own}/pids.max' for _, own in hierarchies()])


@attempt
def leave_its_control_group():
    trouble = Held('nowhere to go')
    for top, _ in hierarchies():
        try:
            return write(f'{top}/cgroup.procs', '0')
        except OSError as error:
            trouble = error
    raise trouble


@attempt
def make_a_control_group_of_its_own():
    trouble = Held('nowhere to go')
    for _, own in hierarchies():
        try:
            os.mkdir(f'{own}/attack-{os.getpid()}')
            return os.rmdir(f'{own}/attack-{os.getpid()}')
        except OSError as error:
            trouble = error
    raise trouble


def device(place):
    path = f'{place}/disk-{os.getpid()}'
    major, minor = GIVEN['device']
    os.mknod(path, 0o60600, os.makedev(major, minor))
    try:
        with open(path, 'rb') as disk:
            disk.seek(65536 + 64)
            if disk.read(8) != b'_BHRfS_M':
                raise Held('not the pool')
    finally:
        os.unlink(path)


@attempt
def read_the_pools_device_from_a_node_in_tmp():
    softly(remount, '/tmp')
    device('/tmp')


@attempt
def read_the_pools_device_from_a_node_in_the_app():
    softly(remount, '/app')
    device('/app')


@attempt
def read_the_pools_device_from_a_node_in_a_tmpfs_of_its_own():
    sys_call(272, NEWNS)
    place = directory('dev')
    mount('tmpfs', place, 'tmpfs')
    device(place)


@attempt
def open_another_apps_file_by_its_handle():
    # name_to_handle_at(2) of production's file, made on the machine: the "shocker" with the right number.
    top = os.open('/app', os.O_RDONLY)
    buffer = ctypes.create_string_buffer(bytes.fromhex(GIVEN['handle']))
    fd = sys_call(304, top, buffer, os.O_RDONLY)
    if GIVEN['secret'] not in os.read(fd, 100).decode():
        raise Held('another file')


def plant(place):
    """Writes a file where nothing of the cell's may, after taking the mount's protection away."""
    softly(remount, place)
    name = f'{place}/bulkhead-attack-{os.getpid()}'
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    os.unlink(name)


@attempt
def write_into_the_machines_usr():
    plant('/usr')


@attempt
def write_beside_the_cells_socket():
    plant('/run/bulkhead')


@attempt
def write_beside_the_accepted_hooks():
    plant('/run/bulkhead-hooks')


@attempt
def change_the_program_that_reads_its_files():
    softly(remount, '/opt/bulkhead/dist')
    os.close(os.open('/opt/bulkhead/dist/cell-helper.cjs', os.O_WRONLY))


@attempt
def change_what_lies_under_its_mounts():
    for place in ('/etc', '/opt/bulkhead'):
        libc.umount2(place.encode(), 2)
    softly(remount, '/')
    os.close(os.open('/etc/attack', os.O_CREAT | os.O_WRONLY))
    os.unlink('/etc/attack')


@attempt
def see_the_machines_files():
    roots = ['', '/proc/self/root', '/proc/self/cwd' + '/..' * 12]
    roots += [f'/proc/{pid}/root' for pid in os.listdir('/proc') if pid.isdigit()]
    if any(os.path.lexists(root + path) for root in roots for path in GIVEN['landmarks']):
        return
    # The classical way out of a chroot: a directory that is kept open lies above the new root.
    here = os.open('/', os.O_RDONLY)
    os.chroot(directory('jail'))
    os.fchdir(here)
    for _ in range(40):
        os.chdir('..')
    os.chroot('.')
    if not any(os.path.lexists(path) for path in GIVEN['landmarks']):
        raise Held('nothing of it is there')


@attempt
def enter_the_namespaces_of_a_process_outside():
    trouble = Held('no process of the machine is there')
    for pid in GIVEN['outside']:
        try:
            namespace = os.open(f'/proc/{pid}/ns/mnt', os.O_RDONLY)
            return sys_call(308, namespace, NEWNS)
        except OSError as error:
            trouble = error
    raise trouble


@attempt
def end_a_process_outside():
    # Signal 0: whether one may.
    for pid in GIVEN['outside']:
        os.kill(pid, 0)


@attempt
def freeze_the_pool():
    # FIFREEZE on /app stops every writer of the pool, production's too.
    import fcntl
    fd = os.open('/app', os.O_RDONLY)
    fcntl.ioctl(fd, 0xC0045877, 0)
    fcntl.ioctl(fd, 0xC0045878, 0)


@attempt
def make_a_file_that_nobody_can_delete():
    import fcntl
    path = f'/app/immutable-{os.getpid()}'
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.ioctl(fd, 0x40086602, struct.pack('l', 0x10))
        fcntl.ioctl(fd, 0x40086602, struct.pack('l', 0))
    finally:
        os.unlink(path)


@attempt
def make_a_subvolume_in_the_app():
    # What is nested in a subvolume is left out of its snapshots, and was out of its limits.
    name = f'nested-{os.getpid()}'
    asked = ctypes.create_string_buffer(struct.pack('q', 0) + name.encode().ljust(4088, b'\0'))
    sys_call(16, os.open('/app', os.O_RDONLY), 0x5000940e, asked)
    os.rmdir(f'/app/{name}')


@attempt
def a_user_namespace_inside():
    sys_call(272, NEWUSER)


def with_resources(do, *arguments):
    """What takes CAP_SYS_RESOURCE, which root of a machine in a container may lack as well."""
    has = int(open('/proc/self/status').read().split('CapEff:')[1].split()[0], 16) >> 24 & 1
    whole = open('/proc/self/uid_map').read().split()[2] == '4294967295'
    if whole and not has:
        raise Absent('CAP_SYS_RESOURCE of this machine')
    do(*arguments)


@attempt
def raise_the_limit_of_user_namespaces():
    with_resources(rewrite, '/proc/sys/user/max_user_namespaces')


@attempt
def be_killed_last():
    with_resources(write, '/proc/self/oom_score_adj', '-1000')


@attempt
def read_the_kernels_memory():
    if not os.path.exists('/proc/kcore'):
        raise Absent('/proc/kcore')
    os.read(os.open('/proc/kcore', os.O_RDONLY), 64)


@attempt
def read_the_kernels_log():
    buffer = ctypes.create_string_buffer(4096)
    sys_call(103, 3, buffer, 4096)


@attempt
def mount_debugfs_or_tracefs():
    sys_call(272, NEWNS)
    for kind in ('tracefs', 'debugfs', 'securityfs'):
        try:
            return mount(kind, directory(kind), kind)
        except OSError as error:
            trouble = error
    raise trouble


main()
