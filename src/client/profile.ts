import { AuthError } from '../lib/artifacts/auth-error.ts';
import { removePrivateFile, renamePrivateFile, storeCorrupt, writePrivateFile } from './private-files.ts';
import { ProfileArtifacts } from './profile-artifacts.ts';
import {
  type ProfileInfo,
  readCredential,
  readInfo,
  readJsonFile,
  type StoredCredential,
  writeVersioned,
} from './profile-files.ts';
import { ProfileFolder } from './profile-folder.ts';
import {
  ensureDefaultProfile,
  locateProfile,
  makeProfileFolders,
  type ProfilePlace,
} from './profile-home.ts';
import { parseServiceUrl } from './service-url.ts';
import { newSessionKey, readSessionKey, type SessionKey } from './session-key.ts';

/**
 * Who a program is at a service: a session key, and what was asked and granted with it. Profiles lie in a folder that only its
 * user can read; processes that change one wait for each other. Methods that change something are asynchronous, and what they
 * changed is on the disk when they return.
 *
 * All methods throw AuthError: `STORE_PERMISSIONS`, `STORE_CORRUPT`, and `STORE_BUSY` those that change something.
 */
export class Profile {
  readonly name: string;
  /** What it asked for, imported and was granted. */
  readonly artifacts: ProfileArtifacts;
  readonly #folder: ProfileFolder;

  private constructor(name: string, folder: string) {
    this.name = name;
    this.#folder = new ProfileFolder(folder);
    this.artifacts = new ProfileArtifacts(this.#folder);
  }

  /** Opens a profile. @throws AuthError `PROFILE_NOT_FOUND` if it was named, `NO_KEY` if not */
  static open(place: ProfilePlace = {}): Profile {
    const { name, folder } = locateProfile(place);
    const profile = new Profile(name, folder);
    if (profile.#exists()) return profile;
    const hint = 'Make it by: vouchsafe auth login --service URL';
    if (place.name === undefined) throw new AuthError('NO_KEY', 'There is no profile here yet.', { hint });
    throw new AuthError('PROFILE_NOT_FOUND', 'There is no such profile.', { hint });
  }

  /**
   * Opens a profile, and makes it, with a session key, if there is none. The first profile of a store becomes its default.
   *
   * @param service the URL of the service; needed for a new profile
   * @throws AuthError `INVALID_USAGE` without a service for a new one, `WRONG_SERVICE` if an existing one has another
   */
  static async openOrCreate({
    service,
    ...place
  }: ProfilePlace & { service?: string | undefined }): Promise<Profile> {
    const located = locateProfile(place);
    const profile = new Profile(located.name, located.folder);
    const url = service === undefined ? undefined : parseServiceUrl(service);
    if (!profile.#exists()) {
      if (url === undefined) {
        throw new AuthError('INVALID_USAGE', 'A new profile needs a service.', {
          hint: 'Add --service URL.',
        });
      }
      makeProfileFolders(located);
      await profile.#folder.change(() => profile.#create(url));
      await ensureDefaultProfile(located.home, profile.name);
    }
    if (url !== undefined && profile.info().service !== url) {
      throw new AuthError('WRONG_SERVICE', 'This profile belongs to another service.', {
        hint: 'Choose another name by --profile.',
      });
    }
    return profile;
  }

  /** Returns who the profile is. @throws AuthError `PROFILE_NOT_FOUND` */
  info(): ProfileInfo {
    const info = this.#folder.exists() ? readInfo(this.#folder.file('profile.json')) : undefined;
    if (info === undefined) throw new AuthError('PROFILE_NOT_FOUND', 'The profile is gone.');
    return info;
  }

  /** Changes who the profile is. Members that are undefined are taken away. */
  async updateInfo(change: { [Name in keyof ProfileInfo]?: ProfileInfo[Name] | undefined }): Promise<void> {
    await this.#folder.change(() => this.#writeInfo({ ...this.info(), ...change } as ProfileInfo));
  }

  /** Returns the session key. @throws AuthError `NO_KEY` */
  key(): SessionKey {
    const key = this.#readKey('key.json');
    if (key !== undefined) return key;
    throw new AuthError('NO_KEY', 'This profile has no session key.', { hint: 'vouchsafe auth login' });
  }

  /** Returns the session key; makes one if there is none. */
  async keyOrNew(): Promise<SessionKey> {
    return this.#folder.change(() => {
      const key = this.#readKey('key.json');
      return key ?? this.#writeKey('key.json', newSessionKey());
    });
  }

  /** Puts a new key in the place of the session key. The service is not asked: to it, the new key is somebody else. */
  async replaceKey(): Promise<SessionKey> {
    return this.#folder.change(() => {
      removePrivateFile(this.#folder.file('key.next.json'));
      return this.#writeKey('key.json', newSessionKey());
    });
  }

  /** Returns the thumbprints of the session key and of those before it: whom its grants are for. */
  thumbprints(): string[] {
    const keys = [this.#readKey('key.json'), this.nextKey()];
    const present = keys.filter((key) => key !== undefined).map(({ thumbprint }) => thumbprint);
    return [...present, ...this.info().former];
  }

  /** Returns the key that a rotation has not finished with; undefined if none is under way. */
  nextKey(): SessionKey | undefined {
    return this.#readKey('key.next.json');
  }

  /**
   * Rotates the session key. The next one is on the disk before the service is asked, so that it is not lost whatever happens:
   * whoever comes upon it later asks the service which of the two it knows.
   *
   * @param announce tells the service. If it throws, both keys stay.
   * @throws AuthError `NO_KEY`
   */
  async rotateKey<Answer>(announce: (old: SessionKey, next: SessionKey) => Promise<Answer>): Promise<Answer> {
    return this.#folder.change(async () => {
      const old = this.key();
      const next = this.nextKey() ?? this.#writeKey('key.next.json', newSessionKey());
      const answer = await announce(old, next);
      this.#promoteNextKey();
      return answer;
    });
  }

  /**
   * Ends a rotation that was cut off.
   *
   * @param isKnown whether the service knows the next key. If it throws, both stay.
   */
  async settleRotation(isKnown: (next: SessionKey) => Promise<boolean>): Promise<void> {
    if (this.nextKey() === undefined) return;
    await this.#folder.change(async () => {
      const next = this.nextKey();
      if (next === undefined) return;
      if (await isKnown(next)) this.#promoteNextKey();
      else removePrivateFile(this.#folder.file('key.next.json'));
    });
  }

  /** Returns the agent's key, if this profile has one. */
  credential(): StoredCredential | undefined {
    return readCredential(this.#folder.file('credential.json'));
  }

  /** Stores the agent's key. */
  async saveCredential(credential: StoredCredential): Promise<void> {
    await this.#folder.change(() => writeVersioned(this.#folder.file('credential.json'), credential));
  }

  /** Forgets the session key and the credential. Requests, grants and the profile stay. */
  async forgetSecrets(): Promise<void> {
    await this.#folder.change(() => {
      for (const name of ['credential.json', 'key.next.json', 'key.json']) {
        removePrivateFile(this.#folder.file(name));
      }
    });
  }

  #exists(): boolean {
    return this.#folder.exists() && readInfo(this.#folder.file('profile.json')) !== undefined;
  }

  /** `profile.json` is written last: a profile that has it is whole. */
  #create(service: string): void {
    if (this.#exists()) return;
    if (this.#readKey('key.json') === undefined) this.#writeKey('key.json', newSessionKey());
    this.#writeInfo({ name: this.name, service, created_at: new Date().toISOString(), former: [] });
  }

  #writeInfo(info: ProfileInfo): void {
    writeVersioned(this.#folder.file('profile.json'), info);
  }

  /** The old key's thumbprint is noted first: its grants are taken whatever happens between the two writes. */
  #promoteNextKey(): void {
    const info = this.info();
    const old = this.#readKey('key.json');
    if (old !== undefined && !info.former.includes(old.thumbprint)) {
      this.#writeInfo({ ...info, former: [...info.former, old.thumbprint] });
    }
    renamePrivateFile(this.#folder.file('key.next.json'), this.#folder.file('key.json'));
  }

  #readKey(name: 'key.json' | 'key.next.json'): SessionKey | undefined {
    const path = this.#folder.file(name);
    const file = this.#folder.exists() ? readJsonFile(path) : undefined;
    if (file === undefined) return undefined;
    const key = readSessionKey(file);
    if (key === undefined) throw storeCorrupt(path, 'is no key');
    return key;
  }

  #writeKey(name: 'key.json' | 'key.next.json', key: SessionKey): SessionKey {
    writePrivateFile(this.#folder.file(name), `${JSON.stringify(key.privateJwk)}\n`);
    return key;
  }
}
