import type { Id } from '../core/ids.ts';
import { placeName, type VolumePlace } from '../core/places.ts';
import { refOf } from './cell-spec.ts';
import type { Parts } from './parts.ts';

/**
 * Compares the pool with the records, after the journal has been finished: deletes
 * what no record knows (half-made copies), and names records whose content is gone.
 * A volume without a record is deleted only where no manifest vouches for it.
 */
export async function sweep(parts: Parts): Promise<string[]> {
  const said: string[] = [];
  const volumes = await parts.volumes.list();
  const wanted = expected(parts);
  for (const place of volumes.filter((one) => !wanted.has(placeName(one)))) {
    const name = placeName(place);
    // What cannot be deleted now does not keep the machine from its work.
    const outcome = await settle(parts, place).catch(
      (error: unknown) => `could not delete ${name}, which no record knows: ${String(error)}`,
    );
    said.push(outcome);
  }
  const there = new Set(volumes.map(placeName));
  for (const record of parts.store.volumes.list())
    if (record.state === 'ready' && !there.has(placeName({ area: 'live', id: record.id })))
      said.push(`the content of ${refOf(record)} is missing from the pool`);
  return said;
}

async function settle(parts: Parts, place: VolumePlace): Promise<string> {
  const vouched = place.area === 'live' && (await parts.volumes.readManifest(place.id)) !== undefined;
  if (vouched || place.area === 'point' || place.area === 'trash')
    return `kept ${placeName(place)}, which no record knows`;
  await parts.volumes.purge(place);
  return `deleted ${placeName(place)}, which no record knows`;
}

function expected(parts: Parts): Set<string> {
  const name = (area: VolumePlace['area'], id: Id): string => placeName({ area, id });
  const { volumes, trash, points } = parts.store;
  return new Set([
    ...volumes.list().flatMap((record) => [name('live', record.id), name('base', record.id)]),
    ...trash.list().flatMap((item) => [name('trash', item.key), name('base', item.volume)]),
    ...points.all().map((point) => name('point', point.id)),
  ]);
}
