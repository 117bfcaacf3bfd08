/**
 * The one seccomp profile of all cells: `runc exec` cannot carry another one
 * than the cell's. What is not listed is allowed; user ids, capabilities and
 * namespaces do the rest.
 *
 * Every compared argument goes through a 32-bit mask: the kernel looks at the
 * low half of these arguments only, so without a mask `socket(2³²|AF_VSOCK, …)`
 * would pass a rule about AF_VSOCK.
 */

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

/** A compared argument: `(argument & mask) == value`. */
export interface MaskedArgument {
  index: number;
  mask: number;
  value: number;
}

/** One line of the profile: which calls, with which arguments, what they get, and why. */
export interface Denial {
  calls: readonly string[];
  when?: readonly MaskedArgument[];
  errno: number;
  why: string;
}

const LOW = 0xffffffff;
const equals = (index: number, value: number): MaskedArgument => ({ index, mask: LOW, value });
const has = (index: number, bit: number): MaskedArgument => ({ index, mask: bit, value: bit });

const AF = { NETLINK: 16, PACKET: 17, ALG: 38, VSOCK: 40 };
const NETLINK_NETFILTER = 12;
const CLONE_NEWUSER = 0x10000000;

/** socket(2) families that something in a cell needs: unix, inet, inet6, netlink. */
const FAMILIES_IN_USE = new Set([1, 2, 10, AF.NETLINK]);
/** Families with a line of their own. */
const FAMILIES_NAMED = new Set([AF.PACKET, AF.ALG, AF.VSOCK]);
/** Above AF_MAX (46 in Linux 6.18) the kernel refuses by itself. */
const LAST_FAMILY = 50;

const socketFamily = (family: number, errno: number, why: string): Denial => ({
  calls: ['socket', 'socketpair'],
  when: [equals(0, family)],
  errno,
  why,
});

function familiesOfNoUse(): Denial[] {
  const families = Array.from({ length: LAST_FAMILY }, (_, family) => family + 1);
  return families
    .filter((family) => !FAMILIES_IN_USE.has(family) && !FAMILIES_NAMED.has(family))
    .map((family) => socketFamily(family, EAFNOSUPPORT, 'a network family that loads rarely tested kernel modules'));
}

/** The profile as data. */
export const DENIALS: readonly Denial[] = [
  // ENOSYS: programs have a fallback for a kernel without the call.
  {
    calls: ['keyctl', 'add_key', 'request_key'],
    errno: ENOSYS,
    why: 'keyrings are not namespaced by anything but the user; EPERM breaks every start of a container',
  },
  {
    calls: ['io_uring_setup', 'io_uring_enter', 'io_uring_register'],
    errno: ENOSYS,
    why: 'its operations do not pass this filter, and it is where many kernel holes were',
  },
  {
    calls: ['clone3'],
    errno: ENOSYS,
    why: 'its flags lie in memory, where a filter cannot see CLONE_NEWUSER; libc falls back to clone',
  },
  {
    calls: ['open_tree', 'move_mount', 'fsopen', 'fsconfig', 'fsmount', 'fspick', 'mount_setattr'],
    errno: ENOSYS,
    why: 'the second way to mount, which nothing here needs beside the first',
  },
  // EPERM
  {
    calls: ['unshare', 'clone'],
    when: [has(0, CLONE_NEWUSER)],
    errno: EPERM,
    why: 'a user namespace of its own gives all capabilities over new kernel surface',
  },
  { calls: ['bpf'], errno: EPERM, why: 'programs in the kernel' },
  { calls: ['perf_event_open'], errno: EPERM, why: 'measures other processes, and a history of kernel holes' },
  { calls: ['userfaultfd'], errno: EPERM, why: 'stops the kernel at a chosen place: the usual tool to win its races' },
  {
    calls: ['init_module', 'finit_module', 'delete_module', 'kexec_load', 'kexec_file_load', 'reboot'],
    errno: EPERM,
    why: 'they change the kernel',
  },
  {
    calls: [
      'clock_settime',
      'clock_settime64',
      'clock_adjtime',
      'clock_adjtime64',
      'adjtimex',
      'settimeofday',
      'stime',
    ],
    errno: EPERM,
    why: 'the clock is the machine’s',
  },
  {
    calls: ['open_by_handle_at'],
    errno: EPERM,
    why: 'opens by number what no path leads to: outside the cell’s tree (the "shocker" escape)',
  },
  { calls: ['syslog'], errno: EPERM, why: "the kernel's log is the machine's" },
  {
    calls: [
      'acct',
      'swapon',
      'swapoff',
      'quotactl',
      'quotactl_fd',
      'nfsservctl',
      'lookup_dcookie',
      'iopl',
      'ioperm',
      'vhangup',
    ],
    errno: EPERM,
    why: "the machine's administration",
  },
  {
    calls: ['ioctl'],
    when: [equals(1, 0x5412)],
    errno: EPERM,
    why: 'TIOCSTI types into a terminal, as if a person did',
  },
  {
    calls: ['ioctl'],
    when: [equals(1, 0x541c)],
    errno: EPERM,
    why: 'TIOCLINUX pastes into a console, the same by another name',
  },
  {
    calls: ['ioctl'],
    when: [equals(1, 0x5423)],
    errno: EPERM,
    why: 'TIOCSETD loads line disciplines (n_gsm, n_hdlc: kernel holes)',
  },
  {
    calls: ['ioctl'],
    when: [{ index: 1, mask: 0xff00, value: 0x9400 }],
    errno: EPERM,
    why: 'every ioctl of btrfs: subvolumes and snapshots inside an app would be left out of its snapshots and limits (FICLONE is one too; copy_file_range(2) still shares blocks)',
  },
  socketFamily(AF.ALG, EPERM, 'the kernel’s cryptography: loads modules, a history of kernel holes'),
  socketFamily(AF.PACKET, EPERM, 'raw frames: spoofing on the cell’s link'),
  {
    calls: ['socket'],
    when: [equals(0, AF.NETLINK), equals(2, NETLINK_NETFILTER)],
    errno: EPERM,
    why: 'nftables and conntrack, where many holes behind user namespaces were',
  },
  socketFamily(AF.VSOCK, EAFNOSUPPORT, 'reaches the hypervisor and is not namespaced'),
  ...familiesOfNoUse(),
];

/** What forks are refused beside that: the machine has it once for everyone, and it is production's. */
export const FORK_DENIALS: readonly Denial[] = [
  {
    calls: ['io_setup'],
    errno: ENOSYS,
    why: 'one fork could take all of fs.aio-max-nr, and a database of production would not start; they have a fallback',
  },
];

/** The native architecture alone: the 32-bit calls have other numbers, and another way in. */
function architecture(): string {
  return process.arch === 'arm64' ? 'SCMP_ARCH_AARCH64' : 'SCMP_ARCH_X86_64';
}

/** The profile as `linux.seccomp` of an OCI configuration. `value` is the mask, `valueTwo` what is compared. */
export function seccompProfile(denials: readonly Denial[] = DENIALS): object {
  return {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: [architecture()],
    syscalls: denials.map(({ calls, when, errno }) => ({
      names: calls,
      action: 'SCMP_ACT_ERRNO',
      errnoRet: errno,
      ...(when === undefined
        ? {}
        : {
            args: when.map(({ index, mask, value }) => ({
              index,
              value: mask,
              valueTwo: value,
              op: 'SCMP_CMP_MASKED_EQ',
            })),
          }),
    })),
  };
}
