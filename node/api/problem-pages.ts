import { type ProblemCode, problemCodes, problems } from "./problems.ts";

/** The page that a problem document's `type` leads to: self-contained HTML. */
export function problemPage(code: ProblemCode): string {
  const { status, title, remedy, retryAfterSeconds } = problems[code];
  const retry = retryAfterSeconds === undefined ? "" : `<p>Retry-After: ${retryAfterSeconds} s</p>`;
  return page(
    title,
    `<p><code>${code}</code>, status ${status}</p><p>${escape(remedy)}</p>${retry}<p><a href="/problems">All problems</a></p>`,
  );
}

/** The table of every problem. */
export function problemIndexPage(): string {
  const rows = problemCodes.map((code) => {
    const { status, title } = problems[code];
    return `<tr><td>${status}</td><td><a href="/problems/${code}"><code>${code}</code></a></td><td>${escape(title)}</td></tr>`;
  });
  return page("Problems", `<table><tr><th>Status</th><th>Problem</th><th>Meaning</th></tr>${rows.join("")}</table>`);
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escape(title)} · deposito</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}td,th{text-align:left;padding:.2rem 1rem .2rem 0}</style>
<h1>${escape(title)}</h1>
${body}
</html>
`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
