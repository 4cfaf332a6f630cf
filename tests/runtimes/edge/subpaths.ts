/** Modules of the package by their subpaths. The bundler puts in what the manifest exports. */
export const subpaths: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {};
