/** One member of an archive that no honest program would write. */
export interface Member {
  name: string;
  /** As in the header: 0 file, 1 hard link, 2 symlink, 3 character device, 4 block device, 5 directory, 6 FIFO, x pax, L long name. */
  type?: '0' | '1' | '2' | '3' | '4' | '5' | '6' | 'x' | 'L';
  link?: string;
  content?: string;
  mode?: number;
  device?: readonly number[];
  /** What the header says, where that is not the content's size. */
  size?: string;
}

const BLOCK = 512;

/** An archive with these members, in the ustar format (pax(1)). */
export function craft(members: readonly Member[]): Buffer {
  return Buffer.concat([...members.flatMap(blocks), Buffer.alloc(2 * BLOCK)]);
}

function blocks(member: Member): Buffer[] {
  const content = Buffer.from(member.content ?? '');
  const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
  return [header(member, content.length), content, padding];
}

function header(member: Member, length: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0');
  block.write(member.name.slice(0, 100), 0);
  block.write(octal(member.mode ?? 0o644, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(member.size ?? octal(length, 11), 124);
  block.write(octal(1_700_000_000, 11), 136);
  block.write(member.type ?? '0', 156);
  block.write((member.link ?? '').slice(0, 100), 157);
  block.write('ustar\u000000', 257);
  block.write(octal(member.device?.[0] ?? 0, 7), 329);
  block.write(octal(member.device?.[1] ?? 0, 7), 337);
  block.write('        ', 148);
  block.write(
    `${octal(
      block.reduce((sum, byte) => sum + byte, 0),
      6,
    )}\0 `,
    148,
  );
  return block;
}
