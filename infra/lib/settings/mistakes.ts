/** Everything that is wrong with what a person has set, told at once and before anything is created. */
export class Mistakes extends Error {
  constructor(readonly all: readonly string[]) {
    super(all.join('\n'));
    this.name = 'Mistakes';
  }
}
