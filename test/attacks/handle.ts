import { run } from '../builders/machine.ts';

const SCRIPT = `
import ctypes, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))
mount = ctypes.c_int()
if libc.name_to_handle_at(-100, sys.argv[1].encode(), buffer, ctypes.byref(mount), 0) < 0: sys.exit(1)
size = struct.unpack('I', buffer.raw[:4])[0]
print(buffer.raw[:8 + size].hex())
`;

/** The handle of a file (name_to_handle_at(2)), in hexadecimal: with it, a file is opened without any path. */
export async function handleOf(file: string): Promise<string> {
  const ran = await run('/usr/bin/python3', ['-c', SCRIPT, file]);
  if (ran.code !== 0) throw new Error(`no handle of ${file}: ${ran.stderr}`);
  return ran.stdout.trim();
}
