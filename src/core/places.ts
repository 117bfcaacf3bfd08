import type { Id } from './ids.ts';

/** Where a volume lives in the pool. `live`: apps and forks. `base`: what a fork was made from. `point`: an app at a time. `trash`: removed. */
export interface VolumePlace {
  area: 'live' | 'base' | 'point' | 'trash';
  id: Id;
}

/** As one string: `live/…`. */
export const placeName = (place: VolumePlace): string => `${place.area}/${place.id}`;
