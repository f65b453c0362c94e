import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "build", "site", "node_modules"] },
  {
    files: ["src/**/*.ts", "test/**/*.ts", "page/**/*.ts"],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      "@typescript-eslint/no-non-null-assertion": "off", // an index inside its array's bounds
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/require-await": "off", // the engine's methods all answer later
    },
  },
  { files: ["test/**/*.ts", "page/test/**/*.ts"], rules: { "@typescript-eslint/no-floating-promises": "off" } },
);
