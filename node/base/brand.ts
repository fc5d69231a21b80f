declare const brand: unique symbol;

/** A value of type `T` that only its own parser can make, so that two kinds of `T` are never interchanged. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
