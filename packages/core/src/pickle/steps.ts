/**
 * Steps of a write that are not values: the writer works through a list of values with these between them.
 *
 * @module
 */

/** An opcode without an argument. */
export class Op {
  readonly code: number;

  constructor(code: number) {
    this.code = code;
  }
}

/** A tuple that nothing else can refer to: the arguments of a call. */
export class Args {
  readonly items: readonly unknown[];

  constructor(items: readonly unknown[]) {
    this.items = items;
  }
}

/** A global by its current names; with `asIs`, by exactly the names to write. */
export class GlobalRef {
  readonly module: string;
  readonly name: string;
  readonly asIs: boolean;

  constructor(module: string, name: string, asIs = false) {
    this.module = module;
    this.name = name;
    this.asIs = asIs;
  }
}

/** Marks that the object of a call is complete on the stack, or was already completed inside its own arguments. */
export class Created {
  readonly value: object;

  constructor(value: object) {
    this.value = value;
  }
}

/** Items or pairs that go into the object on the stack. */
export class Fill {
  readonly kind: 'list' | 'dict' | 'set';
  readonly items: readonly unknown[];

  constructor(kind: 'list' | 'dict' | 'set', items: readonly unknown[]) {
    this.kind = kind;
    this.items = items;
  }
}

/** An extension code. */
export class Extension {
  readonly code: number;

  constructor(code: number) {
    this.code = code;
  }
}

/** Bytes that go out of band. */
export class BufferRef {
  readonly readonly: boolean;

  constructor(readonly: boolean) {
    this.readonly = readonly;
  }
}
