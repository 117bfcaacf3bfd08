import type { Finding } from '../contract/machine.ts';
import { bad, fine, orFine, warn } from './checks.ts';

/** What was seen of what the daemon lives on. */
export interface UpkeepFacts {
  audit: { intact: boolean; finding: string | null; writable: boolean; path: string };
  enrolled: boolean;
  /** The daemon sees another tree of mounts than the machine. */
  ownMounts: boolean;
  /** What systemd says of our unit; null: no systemd, or not the machine's own instance. */
  unit: { loaded: boolean; enabled: boolean; killMode: string } | null;
  systemd: boolean;
}

export function judgeUpkeep(facts: UpkeepFacts): Finding[] {
  const { audit } = facts;
  return [
    ...orFine(
      [
        audit.intact
          ? null
          : bad(
              'audit',
              `the audit log is not intact: ${audit.finding ?? 'something is wrong'}`,
              null,
              'bulkhead audit verify',
            ),
        audit.writable
          ? null
          : bad(
              'audit',
              'the audit log cannot be written',
              `It lies at ${audit.path}.`,
              `sudo lsattr ${audit.path}; df -h ${audit.path}`,
            ),
      ],
      'audit',
      'audit log intact',
    ),
    facts.enrolled
      ? fine('factor', 'a second factor is enrolled')
      : bad(
          'factor',
          'nobody has a second factor yet',
          'Until then only root is answered, and nothing can be changed.',
          'sudo bulkhead init',
        ),
    ...(facts.ownMounts
      ? [
          bad(
            'daemon',
            'the daemon has mounts of its own',
            'The machine and the next daemon do not see its pool.',
            'sudo systemctl edit bulkhead    (take away Protect… and Private…)',
          ),
        ]
      : []),
    ...judgeUnit(facts),
  ];
}

function judgeUnit({ unit, systemd }: UpkeepFacts): Finding[] {
  if (!systemd)
    return [
      warn('unit', 'no systemd here: after a boot somebody has to start the daemon', null, 'sudo bulkhead daemon'),
    ];
  if (unit === null) return [];
  if (!unit.loaded)
    return [
      warn(
        'unit',
        'the daemon is no service of systemd: after a boot it does not start',
        null,
        'sudo systemd-run --unit=bulkhead --property=KillMode=process bulkhead daemon',
      ),
    ];
  return orFine(
    [
      unit.killMode === 'process'
        ? null
        : bad(
            'unit',
            `the unit bulkhead has KillMode=${unit.killMode}`,
            'Its end would end every cell.',
            'sudo systemctl set-property bulkhead KillMode=process',
          ),
      unit.enabled
        ? null
        : warn(
            'unit',
            'the unit bulkhead is not enabled: after a boot it does not start',
            null,
            'sudo systemctl enable bulkhead',
          ),
    ],
    'unit',
    'service bulkhead enabled',
  );
}
