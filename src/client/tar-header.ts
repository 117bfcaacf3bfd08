/** Blocks of a tar archive: POSIX.1-2001 pax interchange format (ustar with extended headers). */
export const BLOCK = 512;

/** One member of an archive. Names and links are bytes, since Linux's are. */
export interface Member {
  name: Buffer;
  /** The type flag: a file, a hard link, a symlink, a directory. */
  type: '0' | '1' | '2' | '5';
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of content that follow. */
  size: number;
  /** Seconds since 1970. */
  mtime: number;
  /** Where a link points. */
  link?: Buffer;
}

/** Widths of the fields that may not fit: name and link 100 bytes, ids 7 octal digits, size 11. */
const NAME_MOST = 100;
const ID_MOST = 0o7777777;
const SIZE_MOST = 0o77777777777;

/** The header of one member, with an extended header before it where a field does not fit. */
export function encodeHeader(member: Member): Buffer {
  const extended = [
    ...(member.name.length > NAME_MOST ? [record('path', member.name)] : []),
    ...((member.link?.length ?? 0) > NAME_MOST ? [record('linkpath', member.link ?? Buffer.alloc(0))] : []),
    ...(member.size > SIZE_MOST ? [record('size', Buffer.from(String(member.size)))] : []),
    ...(member.uid > ID_MOST ? [record('uid', Buffer.from(String(member.uid)))] : []),
    ...(member.gid > ID_MOST ? [record('gid', Buffer.from(String(member.gid)))] : []),
  ];
  if (extended.length === 0) return encodeBlock(member, member.type);
  const body = Buffer.concat(extended);
  const about = { ...member, name: Buffer.from('pax'), size: body.length, link: Buffer.alloc(0) };
  return Buffer.concat([encodeBlock(about, 'x'), body, padding(body.length), encodeBlock(member, member.type)]);
}

/** Zeros after content of so many bytes, up to the next block. */
export function padding(bytes: number): Buffer {
  return Buffer.alloc((BLOCK - (bytes % BLOCK)) % BLOCK);
}

/** Two empty blocks end an archive. */
export const END = Buffer.alloc(2 * BLOCK);

/** `LENGTH key=value\n`, where the length counts its own digits. */
function record(key: string, value: Buffer): Buffer {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length += 1;
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')]);
}

function encodeBlock(member: Member, type: string): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, most: number, at: number, width: number): void => {
    const fits = Math.min(most, Math.max(0, Math.floor(value)));
    block.write(`${fits.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1');
  };
  member.name.copy(block, 0, 0, NAME_MOST);
  octal(member.mode & 0o7777, 0o7777, 100, 8);
  octal(member.uid, ID_MOST, 108, 8);
  octal(member.gid, ID_MOST, 116, 8);
  octal(member.size, SIZE_MOST, 124, 12);
  octal(member.mtime, SIZE_MOST, 136, 12);
  block.write('        ', 148, 'latin1');
  block.write(type, 156, 'latin1');
  member.link?.copy(block, 157, 0, NAME_MOST);
  block.write('ustar\0' + '00', 257, 'latin1');
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
