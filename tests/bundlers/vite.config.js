export default { base: "./", build: { outDir: "vite" } };
