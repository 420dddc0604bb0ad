import { Failure } from '../../src/errors.ts';
import { agentAuthChallenge } from '../../src/http/dialects/auth-md.ts';
import { oauth } from '../../src/http/dialects/oauth.ts';
import { test } from '../helpers/suite.ts';

/** Visible ASCII and spaces, without double quotes and backslashes: RFC 6749 section 5.2. */
const ALLOWED = /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/;
const MESSAGE = 'There is no “scope” "écrire" \\ here, nor a\nline of its own.';

test('an error_description of OAuth holds only what RFC 6749 allows', (t) => {
  const { body } = oauth.failure(new Failure('invalidScope', MESSAGE), 'req_1');
  t.regex((body as { error_description: string }).error_description, ALLOWED);
});

test('so does that of an AgentAuth challenge', (t) => {
  const [, description] = /error_description="(.*)"$/s.exec(agentAuthChallenge('login_required', MESSAGE))!;
  t.regex(description!, ALLOWED);
});
