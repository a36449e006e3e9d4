import { readFileSync } from "node:fs";
import { runCommand } from "./command.ts";
import type { temporaryFolder } from "./server-process.ts";

/** A self-signed certificate for 127.0.0.1 and localhost, made with the openssl command. */
export async function makeCertificate(folder: ReturnType<typeof temporaryFolder>) {
  const [certFile, keyFile] = [folder.file("cert.pem"), folder.file("key.pem")];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", keyFile];
  const subject = ["-subj", "/CN=userlock test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-days", "1"];
  const { code, stderr } = await runCommand("openssl", ["req", "-x509", ...key, ...subject, "-out", certFile]);
  if (code !== 0) throw new Error(`openssl ended with ${code}: ${stderr}`);
  return {
    certFile,
    cert: readFileSync(certFile),
    settings: { USERLOCK_TLS_CERT: certFile, USERLOCK_TLS_KEY: keyFile },
  };
}
