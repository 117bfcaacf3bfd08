/** Version of this command line; package.json and the daemon have the same (a law checks it). */
export const VERSION = '0.1.0';
