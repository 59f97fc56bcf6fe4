import { Mistakes } from './mistakes';

/** What a number may be. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * Reads a JSON object key by key and collects every mistake.
 *
 * A key that nobody asked for is a mistake too: a setting that is misspelt would be a setting that is not made.
 */
export class Reader {
  private readonly asked = new Set<string>();
  private readonly sections: Reader[] = [];

  constructor(
    private readonly object: Record<string, unknown>,
    private readonly path = '',
    private readonly mistakes: string[] = [],
  ) {}

  /** Whether somebody has set it, rightly or wrongly. */
  has(key: string): boolean {
    return this.object[key] !== undefined;
  }

  text(key: string, shape: RegExp, hint: string): string | undefined {
    const value = this.take(key);
    if (value === undefined || (typeof value === 'string' && shape.test(value))) {
      return value;
    }
    return this.mistake(key, `${shown(value)} is not ${hint}`);
  }

  choice<T extends string | number>(key: string, choices: readonly T[]): T | undefined {
    const value = this.take(key);
    if (value === undefined || choices.includes(value as T)) {
      return value as T | undefined;
    }
    return this.mistake(
      key,
      `${shown(value)} is none of ${choices.map((choice) => `\`${choice}\``).join(', ')}`,
    );
  }

  number(key: string, { from, to }: Range): number | undefined {
    const value = this.take(key);
    if (value === undefined || (Number.isInteger(value) && Number(value) >= from && Number(value) <= to)) {
      return value as number | undefined;
    }
    return this.mistake(key, `${shown(value)} is not a whole number from ${from} to ${to}`);
  }

  switch(key: string): boolean | undefined {
    const value = this.take(key);
    if (value === undefined || typeof value === 'boolean') {
      return value;
    }
    return this.mistake(key, `${shown(value)} is neither \`true\` nor \`false\``);
  }

  /** An object of texts, its keys in order. */
  texts(key: string): Record<string, string> {
    const value = this.take(key) ?? {};
    if (isObject(value) && Object.values(value).every((text) => typeof text === 'string')) {
      return Object.fromEntries(Object.entries(value as Record<string, string>).sort());
    }
    return this.mistake(key, 'it should be an object of texts') ?? {};
  }

  /** An object with settings of its own; an empty one if it is absent. */
  section(key: string): Reader {
    return this.optionalSection(key) ?? this.child(key, {});
  }

  optionalSection(key: string): Reader | undefined {
    const value = this.take(key);
    if (value === undefined) {
      return undefined;
    }
    if (!isObject(value)) {
      return this.mistake(key, `${shown(value)} is not an object`);
    }
    return this.child(key, value);
  }

  /** Notes that something else is wrong with this key. */
  mistake(key: string, what: string): undefined {
    this.mistakes.push(`\`${this.name(key)}\`: ${what}`);
  }

  /** Every setting that was asked for, sections by what is in them. */
  names(): string[] {
    const sections = this.sections.map(({ path }) => path);
    const own = [...this.asked].map((key) => this.name(key)).filter((name) => !sections.includes(name));
    return [...own, ...this.sections.flatMap((section) => section.names())];
  }

  /** Throws all mistakes, if there is one. */
  finish(): void {
    this.findStrangers();
    if (this.mistakes.length > 0) {
      throw new Mistakes(this.mistakes);
    }
  }

  private child(key: string, value: Record<string, unknown>): Reader {
    const section = new Reader(value, this.name(key), this.mistakes);
    this.sections.push(section);
    return section;
  }

  private findStrangers(): void {
    for (const key of Object.keys(this.object).filter((key) => !this.asked.has(key))) {
      this.mistake(key, 'there is no such setting; docs/deploy.md lists them all');
    }
    this.sections.forEach((section) => section.findStrangers());
  }

  private take(key: string): unknown {
    this.asked.add(key);
    return this.object[key];
  }

  private name(key: string): string {
    return this.path === '' ? key : `${this.path}.${key}`;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}
