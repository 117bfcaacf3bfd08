/** Version of this daemon; package.json has the same (a law checks it). */
export const VERSION = '0.1.0';
