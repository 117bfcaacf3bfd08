import { volumesSuite, type VolumesHarness } from '../volumes.suite.ts';
import { createMemoryVolumes } from './volumes.ts';

const volumes = createMemoryVolumes();
const harness: VolumesHarness = {
  volumes,
  again: () => volumes,
  write: (at, file, content) => volumes.put(at, file, content),
  read: (at, file) => volumes.get(at, file),
  settle: async () => {},
};

volumesSuite('memory', () => harness);
